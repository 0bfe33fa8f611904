"""Histories as Jepsen writes them: one event an invocation, one event its completion.

    {:process 0 :type :invoke :f :write :value 3}
    {:process 0 :type :ok     :f :write :value 3}

``:ok`` is an answer; ``:fail`` says that the operation did not happen, so it is left out; ``:info`` says that nobody
knows: it stays without a return, and so does an invocation that is never completed.  Processes that are no numbers
(the nemesis) are skipped.  The words become the models' own: ``:read`` is ``get``, ``:write`` is ``put``, and the two
values of a ``:cas`` are spread out.
"""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple, cast

from pyraft_lab.check.linearize.edn import Form, read_edn
from pyraft_lab.errors import HistoryError, shown
from pyraft_lab.history import History, Operation

NAMES = {"read": "get", "write": "put"}


def read_jepsen(text: str, *, keyed: bool = False) -> History:
    r"""Read events in EDN, one by one or all in one vector; ``keyed=True`` where each value is ``[key value]``.

    Times are those of ``:time`` if every event has one, otherwise the event's place in the text.

    >>> history = read_jepsen('''
    ... {:process 0 :type :invoke :f :cas  :value [1 2]}
    ... {:process 1 :type :invoke :f :read :value nil}
    ... {:process 1 :type :ok     :f :read :value 2}
    ... {:process 0 :type :info   :f :cas  :value [1 2] :error :timeout}
    ... ''')
    >>> print(*history, sep="\n")
    client 0's cas 1 2 → ?
    client 1's get → 2
    """
    events = [event for form in read_edn(text) for event in _events(form)]
    operations = _operations([event for event in events if event.is_of_a_client], keyed=keyed)
    return History(sorted(operations, key=attrgetter("call")))


class Event(NamedTuple):
    """One line of a history."""

    line: int
    facts: Mapping[object, object]

    @property
    def is_of_a_client(self) -> bool:
        """The nemesis and its like have names instead of numbers."""
        return isinstance(self.facts.get("process"), int)

    @property
    def process(self) -> int:
        """The client."""
        return cast("int", self.facts["process"])

    @property
    def name(self) -> str:
        """What was asked, in the models' words."""
        return NAMES.get(str(self.facts.get("f")), str(self.facts.get("f")))

    def error(self, what: str) -> HistoryError:
        """An error that names the line."""
        return HistoryError(f"process {self.process} {what}", line=self.line)


def _events(form: Form) -> Iterator[Event]:
    match form.value:
        case dict() as facts:
            yield Event(form.line, facts)
        case tuple() as forms:
            for value in forms:
                yield from _events(Form(form.line, value))
        case value:
            raise HistoryError(f"an event is a map like {{:process 0 ...}}, not {shown(value)}", line=form.line)


def _operations(events: Sequence[Event], *, keyed: bool) -> Iterator[Operation]:
    """Pair each completion with the invocation of its process."""
    waiting: dict[int, tuple[float, Event]] = {}
    for time, event in zip(_times(events), events, strict=True):
        _check(event, waits=event.process in waiting)
        match event.facts["type"]:
            case "invoke":
                waiting[event.process] = time, event
            case "ok":
                yield _operation(*waiting.pop(event.process), time, event, keyed=keyed)
            case "info":
                yield _operation(*waiting.pop(event.process), None, event, keyed=keyed)
            case _:
                del waiting[event.process]
    for called, event in waiting.values():
        yield _operation(called, event, None, event, keyed=keyed)


def _check(event: Event, *, waits: bool) -> None:
    match event.facts.get("type"), waits:
        case "invoke", True:
            raise event.error("invokes again, but its last invocation has no completion")
        case "ok" | "info" | "fail", False:
            raise event.error("completes what it has not invoked")
        case "invoke" | "ok" | "info" | "fail", _:
            return
        case _:
            kind = event.facts.get("type")
            raise event.error(f"has the :type {shown(kind)}, which is none of invoke, ok, info and fail")


def _times(events: Sequence[Event]) -> Sequence[float]:
    times = [time for event in events if isinstance(time := event.facts.get("time"), int | float)]
    return times if len(times) == len(events) else range(len(events))


def _operation(called: float, invoked: Event, returned: float | None, completed: Event, *, keyed: bool) -> Operation:
    key, value = _split(invoked, keyed=keyed)
    output = None if returned is None else _output(completed, keyed=keyed)
    return Operation(invoked.process, called, returned, (invoked.name, *key, *_arguments(invoked, value)), output)


def _split(event: Event, *, keyed: bool) -> tuple[tuple[object, ...], object]:
    """The key, if there is one, and the value."""
    value = event.facts.get("value")
    if not keyed:
        return (), value
    match value:
        case (key, inner):
            return (key,), inner
        case _:
            raise event.error(f"has the :value {shown(value)}, which is not [key value]; is this history keyed?")


def _arguments(event: Event, value: object) -> tuple[object, ...]:
    match event.name, value:
        case (("get" | "delete"), _):
            return ()
        case "cas", (old, new):
            return (old, new)
        case "cas", _:
            raise event.error(f"compares and sets {shown(value)}, which is not [old new]; is this history keyed?")
        case _:
            return (value,)


def _output(event: Event, *, keyed: bool) -> object:
    match event.name:
        case "put" | "append" | "delete":
            return None
        case "cas":
            return True
        case _:
            return _split(event, keyed=keyed)[1]
