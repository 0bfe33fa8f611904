"""What a cluster replicates: a machine, and the sessions that apply each client's command once (dissertation §6.3).

A machine is deterministic and knows nothing of Raft. :class:`Sessions` stands between the log and the machine: it
reads entries, remembers what every client was answered, and gives a retried command its first answer.

>>> from pyraft_lab.command import encode
>>> from pyraft_lab.engine.types import LogId
>>> machine = Sessions(KeyValue())
>>> retried = Normal(encode({"op": "incr", "key": "x"}, client=1, serial=1))
>>> [machine.apply(Entry(LogId(1, 1, index), retried)) for index in (1, 2)]
[Value(value=1), Value(value=1)]
>>> machine.query("x")
1
"""

from collections.abc import Mapping
from copy import copy
from hashlib import blake2b
from typing import Any, Protocol, Self

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from pyraft_lab.command import Sealed, fits, opened
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.types import Index

EXPIRY = 1_000_000
"""A session unused for so many entries is forgotten: counted in entries, so that every replica forgets it alike."""


class StateMachine(Protocol):
    """Anything deterministic: the same commands in the same order leave every replica in the same state."""

    def apply(self, command: Any, /) -> Any:
        """Change the state; what is returned goes to the client (:class:`Rejected` if it makes no sense).

        Answers are kept with their sessions, so they need a MessagePack form, as what ``snapshot`` keeps does.
        """
        ...

    def query(self, query: Any, /) -> Any:
        """Look at the state without changing it."""
        ...

    def snapshot(self) -> bytes:
        """The whole state as bytes, equal for equal states."""
        ...

    def restore(self, data: bytes, /) -> None:
        """Replace the state by that of a snapshot."""
        ...

    def fork(self) -> Self:
        """An independent copy, as cheap as can be: the simulation keeps the machines of all its pasts."""
        ...


class Value(Struct, frozen=True, tag=True, gc=False):
    """The machine carried the command out and returned this."""

    value: Any = None


class Rejected(Struct, frozen=True, tag=True):
    """The machine could make nothing of the command, and has not changed."""

    why: str


class Expired(Struct, frozen=True, tag=True):
    """The session was forgotten by entry ``index``: whether its command happened before is not known any more."""

    index: Index


Answer = Value | Rejected | Expired


class Session(Struct, array_like=True):
    """What is remembered of a client: when it was last used, and its answers to serials beyond ``done``."""

    used: Index
    done: int
    answers: dict[int, Answer]

    def remember(self, sealed: Sealed, answer: Answer) -> None:
        """Keep the newest answer, and let go of those the client is done with."""
        for serial in range(self.done + 1, sealed.done + 1):
            self.answers.pop(serial, None)
        self.done = max(self.done, sealed.done)
        self.answers[sealed.serial] = answer


class _Image(Struct, frozen=True, array_like=True):
    sessions: tuple[tuple[int, Session], ...]
    machine: bytes


_pack = Encoder().encode
_unpack = Decoder().decode
_read_image = Decoder(_Image).decode


def decode(data: bytes) -> Any:
    """The command in an entry's bytes, with or without a session; ``Rejected`` where there is none."""
    try:
        return opened(data)[0]
    except ValueError as error:
        return _illegible(error)


def _illegible(error: ValueError) -> Rejected:
    return Rejected(f"not a command: {error}")


class Sessions:
    """A machine behind its clients' sessions: what drivers hand committed entries to."""

    def __init__(self, machine: StateMachine, *, expiry: int = EXPIRY) -> None:
        self.machine = machine
        self.expiry = expiry
        self.sessions: dict[int, Session] = {}
        self._own: set[int] = set()

    @staticmethod
    def of(machine: "StateMachine | Sessions") -> "Sessions":
        """A machine behind sessions; one that has its own keeps them."""
        return machine if isinstance(machine, Sessions) else Sessions(machine)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sessions):
            return NotImplemented
        return (self.machine, self.expiry, self.sessions) == (other.machine, other.expiry, other.sessions)

    __hash__ = None  # type: ignore[assignment]

    def apply(self, entry: Entry) -> Answer:
        """Apply a committed entry; those without a command, and commands seen before, leave the machine alone."""
        if not isinstance(entry.payload, Normal):
            return Value()
        try:
            command, sealed = opened(entry.payload.data)
        except ValueError as error:
            return _illegible(error)
        return self._run(command) if sealed is None else self._once(entry.index, sealed)

    def query(self, query: Any) -> Any:
        """What the machine says now."""
        return self.machine.query(query)

    def snapshot(self) -> bytes:
        """Machine and sessions as bytes: a retry may arrive after the snapshot."""
        return _pack(_Image(tuple(self.sessions.items()), self.machine.snapshot()))

    def restore(self, data: bytes) -> None:
        """Replace machine and sessions by those of a snapshot."""
        image = _read_image(data)
        self.machine.restore(image.machine)
        self.sessions = dict(image.sessions)
        self._own = set(self.sessions)

    def fork(self) -> "Sessions":
        """An independent copy; sessions are shared until one of the two changes them."""
        twin = type(self)(self.machine.fork(), expiry=self.expiry)
        twin.sessions = dict(self.sessions)
        self._own = set()
        return twin

    def digest(self) -> str:
        """Equal for equal states; replicas that applied the same entries have the same."""
        return blake2b(self.snapshot(), digest_size=8).hexdigest()

    def _once(self, index: Index, sealed: Sealed) -> Answer:
        self._forget(index)
        session = self._session(sealed.client)
        if session is None and index - sealed.since > self.expiry:
            return Expired(index)
        session = session or Session(index, 0, {})
        self.sessions[sealed.client] = session
        session.used = index
        if sealed.serial <= session.done:
            return Rejected(f"serial {sealed.serial} was answered and done with long ago")
        answer = session.answers.get(sealed.serial) or self._run(sealed.command)
        session.remember(sealed, answer)
        return answer

    def _session(self, client: int) -> Session | None:
        """Take out the client's session, as one that nobody shares."""
        session = self.sessions.pop(client, None)
        if session is not None and client not in self._own:
            session = Session(session.used, session.done, dict(session.answers))
        self._own.add(client)
        return session

    def _run(self, command: Any) -> Answer:
        result = self.machine.apply(command)
        return result if type(result) is Rejected else Value(result)

    def _forget(self, index: Index) -> None:
        """Sessions stand in order of their last use, so the idlest is the first."""
        while self.sessions:
            client = next(iter(self.sessions))
            if index - self.sessions[client].used <= self.expiry:
                return
            del self.sessions[client]


_GONE: Any = object()
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "put": ("key", "value"),
    "get": ("key",),
    "append": ("key", "value"),
    "cas": ("key", "old", "new"),
    "delete": ("key",),
    "incr": ("key",),
}
"""What a command of each kind has to say."""


class KeyValue:
    """A table of keys: ``put``, ``get``, ``append``, ``cas``, ``delete`` and ``incr``.

    >>> table = KeyValue()
    >>> table.apply({"op": "put", "key": "x", "value": 1}), table.apply({"op": "cas", "key": "x", "old": 1, "new": 2})
    (None, True)
    >>> table.query("x"), table.apply({"op": "get"})
    (2, Rejected(why="'get' needs 'key'"))

    A fork shares the big table and copies only the few changes since: both stay cheap at any size.
    """

    def __init__(self, data: Mapping[Any, Any] | None = None) -> None:
        self._base: Mapping[Any, Any] = dict(data or {})
        self._changes: dict[Any, Any] = {}

    def __eq__(self, other: object) -> bool:
        return self.data == other.data if isinstance(other, KeyValue) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"KeyValue({self.data})"

    @property
    def data(self) -> dict[Any, Any]:
        """The whole table, as a copy."""
        merged = {**self._base, **self._changes}
        return {key: value for key, value in merged.items() if value is not _GONE}

    def apply(self, command: Any, /) -> Any:
        """Carry out one command; see the class for its forms."""
        op = command.get("op") if isinstance(command, dict) else None
        if not isinstance(op, str) or op not in _NEEDS:
            return Rejected(f"{command!r} is no command; the 'op' of one is {', '.join(_NEEDS)}")
        for field in _NEEDS[op]:
            if field not in command:
                return Rejected(f"{op!r} needs {field!r}")
        if not isinstance(command["key"], (str, int)):
            return Rejected(f"{command['key']!r} is no key")
        return self._operate(op, command["key"], command)

    def query(self, query: Any, /) -> Any:
        """The value of a key, ``None`` where there is none."""
        if not isinstance(query, (str, int)):
            return Rejected(f"{query!r} is no key")
        value = self._changes.get(query, _GONE) if query in self._changes else self._base.get(query)
        return None if value is _GONE else value

    def snapshot(self) -> bytes:
        """The table as MessagePack pairs."""
        return _pack(sorted(self.data.items(), key=lambda item: (isinstance(item[0], str), item[0])))

    def restore(self, data: bytes, /) -> None:
        """The table of a snapshot."""
        self._base, self._changes = {key: value for key, value in _unpack(data)}, {}  # noqa: C416 (pairs are lists)

    def fork(self) -> Self:
        """An independent copy; past 64 changes a new shared table is made of them."""
        if len(self._changes) > 64:
            self._base, self._changes = self.data, {}
        twin = copy(self)
        twin._changes = dict(self._changes)  # noqa: SLF001 (its own twin)
        return twin

    def _operate(self, op: str, key: Any, command: Mapping[str, Any]) -> Any:
        match op:
            case "put":
                self._changes[key] = command["value"]
                return None
            case "append":
                return self._append(key, command["value"])
            case "cas":
                return self._cas(key, command["old"], command["new"])
            case "delete":
                return self._delete(key)
            case "incr":
                return self._incr(key, command.get("by", 1))
            case _:
                return self.query(key)

    def _append(self, key: Any, more: Any) -> Any:
        old = self.query(key)
        if not isinstance(more, (str, list)) or type(old) not in {type(more), type(None)}:
            return Rejected(f"cannot append {more!r} to {old!r}")
        self._changes[key] = longer = more if old is None else old + more
        return longer

    def _cas(self, key: Any, old: Any, new: Any) -> bool:
        holds = bool(self.query(key) == old)
        if holds:
            self._changes[key] = new
        return holds

    def _delete(self, key: Any) -> bool:
        was_there = self.query(key) is not None
        self._changes[key] = _GONE
        return was_there

    def _incr(self, key: Any, by: Any) -> Any:
        old = self.query(key) or 0
        if not isinstance(old, (int, float)) or not isinstance(by, (int, float)):
            return Rejected(f"cannot add {by!r} to {old!r}")
        new = old + by
        if not fits(new):
            return Rejected(f"{old!r} and {by!r} make more than 64 bits hold")
        self._changes[key] = new
        return new


class Counter:
    """The smallest machine: a command is a number that it adds; a query of anything returns the sum."""

    def __init__(self) -> None:
        self.total: float = 0

    def __eq__(self, other: object) -> bool:
        return self.total == other.total if isinstance(other, Counter) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def apply(self, command: Any, /) -> Any:
        """Add a number; returns the new sum."""
        if isinstance(command, bool) or not isinstance(command, (int, float)):
            return Rejected(f"{command!r} is no number")
        total = self.total + command
        if not fits(total):
            return Rejected(f"{self.total!r} and {command!r} make more than 64 bits hold")
        self.total = total
        return total

    def query(self, _query: Any = None, /) -> float:
        """The sum."""
        return self.total

    def snapshot(self) -> bytes:
        """The sum as MessagePack."""
        return _pack(self.total)

    def restore(self, data: bytes, /) -> None:
        """The sum of a snapshot."""
        self.total = _unpack(data)

    def fork(self) -> Self:
        """An independent copy."""
        return copy(self)
