"""Histories: what clients asked, what was answered, and when, which is all a linearizability check needs.

    client 1   ├── put x 1 ──┤
    client 2        ├───── get x → 1 ─────┤
    client 3              ├── put x 2 ─────────── ?    no answer: it may take effect at any later time, or never
               ───────────────────────────────────▶ time

A bar is one ``Operation``, from the call to the return. Times may have any unit, such as seconds or line numbers: only
their order matters, and a bar includes both its ends.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from pyraft_lab import arguments
from pyraft_lab.errors import HistoryError, shown
from pyraft_lab.extras import needed

if TYPE_CHECKING:
    import pandas as pd


class Operation(Struct, frozen=True, forbid_unknown_fields=True):
    """One call of one client; ``returned=None`` means that its outcome is unknown, and ``output`` has no meaning.

    Lists inside ``input`` and ``output`` become tuples. Raises ``HistoryError`` for other values that do not hash, and
    for times that are not numbers or not in order.

    >>> Operation(client=1, call=0.0, returned=2.5, input=["put", "x", 1])
    Operation(client=1, call=0.0, returned=2.5, input=('put', 'x', 1), output=None)
    >>> Operation(client=1, call=4.0, returned=3.0, input=("get", "x"))
    Traceback (most recent call last):
    pyraft_lab.errors.HistoryError: client 1's get 'x' returned at 3, before its call at 4; check whose clock that was
    """

    client: int | str
    call: float
    returned: float | None
    input: object
    output: object = None

    def __post_init__(self) -> None:
        if isinstance(self.client, bool) or not isinstance(self.client, (int, str)):
            raise HistoryError(f"a client is a number or a text, not {shown(self.client)}")
        force_setattr(self, "input", self._hashable(self.input))
        force_setattr(self, "output", self._hashable(self.output))
        returned = self.call if self.returned is None else self.returned
        if not _is_time(self.call) or not _is_time(returned):
            raise HistoryError(f"{self.request} has a time that is not a number; write None for an unknown return")
        if returned < self.call:
            raise HistoryError(
                f"{self.request} returned at {returned:g}, before its call at {self.call:g}; check whose clock that was"
            )

    def _hashable(self, value: object) -> object:
        try:
            value = frozen(value)
            hash(value)
        except (TypeError, RecursionError):
            raise HistoryError(
                f"client {self.client}: {shown(value)} does not hash; write it with tuples instead"
            ) from None
        return value

    @property
    def request(self) -> str:
        """The call as text: ``client 2's get 'x'``."""
        match self.input:
            case (name, *arguments):
                return f"client {self.client}'s {' '.join([str(name), *map(shown, arguments)])}"
            case asked:
                return f"client {self.client}'s {shown(asked)}"

    def __str__(self) -> str:
        """The call and its answer as text: ``client 2's get 'x' → 1``."""
        return f"{self.request} → {'?' if self.returned is None else shown(self.output)}"


def _is_time(value: float) -> bool:
    """Whether a value is a finite number; a caller that reads a file may pass others."""
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):
        return False


def frozen(value: object) -> object:
    """The value with tuples for lists at every level, so that values read from JSON compare equal to the written."""
    match value:
        case list() | tuple():
            return tuple(frozen(item) for item in value)
        case _:
            return value


class History(Struct, frozen=True):
    """All operations of a run, in any order.

    >>> history = History([Operation(1, 0.0, 1.0, ("put", 7)), Operation(2, 0.5, None, ("get",))])
    >>> print(history.to_jsonl())
    {"client":1,"call":0.0,"returned":1.0,"input":["put",7],"output":null}
    {"client":2,"call":0.5,"returned":null,"input":["get"],"output":null}
    >>> History.from_jsonl(history.to_jsonl()) == history
    True
    """

    operations: Sequence[Operation] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.operations, Iterable):
            raise HistoryError(f"a history holds a list of operations, not {shown(self.operations)}")
        operations: list[Operation] = []
        for operation in self.operations:
            if not isinstance(operation, Operation):
                raise HistoryError(f"a history holds operations, not {shown(operation)}")
            operations.append(operation)
        force_setattr(self, "operations", tuple(operations))

    def __len__(self) -> int:
        return len(self.operations)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    @property
    def frame(self) -> "pd.DataFrame":
        """A frame, one row per operation: ``client call returned op input output known``.

        ``input`` and ``output`` are JSON, such as ``["put","x",1]``: one type for all, so the frame goes to Arrow,
        Parquet and polars as it is. Without a return ``returned`` is NaN, ``output`` is missing and ``known`` is false.
        ``attrs["columns"]`` says what each column means.

        >>> History([Operation(1, 0.0, 1.0, ("get", "x"), 7)]).frame.loc[0, ["op", "input", "output"]].tolist()
        ['get', '["get","x"]', '7']
        """
        with needed("pandas"):
            import pandas as pd

        rows = [_row(operation) for operation in self.operations]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        are_numbers = all(isinstance(operation.client, int) for operation in self.operations)
        texts = dict.fromkeys(("op", "input", "output"), "str")
        frame = frame.astype(
            {"client": "int64" if are_numbers else "str", "call": "float64", "returned": "float64", "known": "bool"}
            | texts
        )
        frame.attrs["columns"] = dict(COLUMNS)
        return frame

    def to_jsonl(self) -> str:
        """The operations as text, one JSON object per line."""
        return "\n".join(msgspec.json.encode(operation).decode() for operation in self.operations)

    @classmethod
    def from_jsonl(cls, text: str) -> "History":
        """Read the text of ``to_jsonl``; blank lines are skipped, and ``HistoryError`` names a bad line's number."""
        lines = enumerate(text.splitlines(), start=1)
        return cls([_operation(number, line) for number, line in lines if line.strip()])


COLUMNS = {
    "client": "the client: a number, or a text if any client has one",
    "call": "when the operation was called",
    "returned": "when it returned; NaN if that is not known",
    "op": "the first word of the input, such as put or get",
    "input": "the whole input as JSON",
    "output": "the output as JSON; missing if the outcome is not known",
    "known": "whether the outcome is known",
}
"""The columns of a history's frame, and what each means."""
_encode = msgspec.json.Encoder(enc_hook=repr).encode


def _row(operation: Operation) -> dict[str, object]:
    asked = operation.input
    known = operation.returned is not None
    return {
        "client": operation.client,
        "call": operation.call,
        "returned": operation.returned,
        "op": asked[0] if isinstance(asked, tuple) and asked else asked,
        "input": _encode(asked).decode(),
        "output": _encode(operation.output).decode() if known else None,
        "known": known,
    }


def from_json(text: str) -> object:
    """A value that a frame of a history holds as JSON, with tuples for lists; text that is no JSON stays as it is."""
    try:
        return frozen(arguments.from_json(text, object))
    except msgspec.MsgspecError:
        return text


def _operation(number: int, line: str) -> Operation:
    try:
        return arguments.from_json(line, Operation)
    except (msgspec.MsgspecError, HistoryError) as error:
        raise HistoryError(str(error), line=number) from error
