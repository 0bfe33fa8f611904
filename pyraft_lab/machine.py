"""State machines, and the sessions that apply each client's command exactly once (dissertation §6.3).

A machine is deterministic and knows nothing of Raft. :class:`Sessions` is between the log and the machine: it reads
entries, remembers the answers of every client, and gives a retried command its first answer.

>>> from pyraft_lab.command import encode
>>> from pyraft_lab.engine.types import LogId
>>> machine = Sessions(KeyValue())
>>> retried = Normal(encode({"op": "incr", "key": "x"}, client=1, serial=1))
>>> [machine.apply(Entry(LogId(1, 1, index), retried)) for index in (1, 2)]
[Value(value=1), Value(value=1)]
>>> machine.query("x")
1
"""

from collections.abc import Callable, Mapping
from copy import copy
from hashlib import blake2b
from typing import Any, Protocol, Self, TypeVar

from msgspec import MsgspecError
from msgspec.msgpack import Decoder, Encoder

from pyraft_lab.arguments import fitting, function
from pyraft_lab.command import Sealed, SealedBatch, is_portable_number, unseal
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.types import Index
from pyraft_lab.errors import ConfigError
from pyraft_lab.immutable_map import ImmutableMap
from pyraft_lab.session import (
    ANSWER_BYTES,
    Answer,
    Batched,
    Expired,
    OutOfOrder,
    Rejected,
    Session,
    Value,
    read_image,
    shown,
    unreadable_snapshot,
)

__all__ = [
    "Answer",
    "Batched",
    "Counter",
    "Expired",
    "KeyValue",
    "OutOfOrder",
    "Rejected",
    "Session",
    "Sessions",
    "StateMachine",
    "Value",
    "decode",
]
EXPIRY = 1_000_000
"""Entries after which an unused session expires; counted in entries, so that every replica expires it alike."""
MAX_SESSIONS = 100_000
"""The maximum number of sessions; beyond it the least recently used one expires."""
MAX_VALUE_BYTES = 1 << 24
"""The maximum length of a value that ``append`` makes, in characters or items: it bounds the cost of a command."""


class StateMachine(Protocol):
    """Anything deterministic: the same commands in the same order leave every replica in the same state."""

    def apply(self, command: Any, /) -> Any:
        """Change the state and return the answer for the client (:class:`Rejected` for an invalid command).

        Sessions keep the answers, so an answer must have a MessagePack form, like the state in ``snapshot``.
        """
        ...

    def query(self, query: Any, /) -> Any:
        """Answer a query without changing the state."""
        ...

    def snapshot(self) -> bytes:
        """The whole state as bytes, equal for equal states."""
        ...

    def restore(self, data: bytes, /) -> None:
        """Replace the state by that of ``snapshot`` bytes."""
        ...

    def fork(self) -> Self:
        """An independent copy; it should be cheap, since the simulation keeps copies of earlier states."""
        ...


T = TypeVar("T")


def making_machines(field: str, make: Callable[[], T]) -> Callable[[], T]:
    """``make``, tried once: ``ConfigError`` where it does not make a state machine."""
    made = function(field, make)()
    if not isinstance(made, Sessions):
        fitting(f"{field}()", made, StateMachine, advice=f"{field} makes a new state machine for each node")
    return make


_pack = Encoder().encode
_unpack = Decoder().decode


def decode(data: bytes) -> Any:
    """The command in an entry's bytes, with or without a session; ``Rejected`` if the bytes hold none."""
    try:
        return unseal(data)[0]
    except ValueError as error:
        return _unreadable(error)


def _unreadable(error: ValueError) -> Rejected:
    return Rejected(f"not a command: {error}")


NOTHING = Value()


def _answer_of(result: Any) -> Answer:
    """The answer to a command: what the machine returned, or its refusal."""
    if result is None:
        return NOTHING  # nearly every write; the same value serves all
    return result if type(result) is Rejected else Value(result)


class Sessions:
    """A machine with its clients' sessions; drivers pass committed entries to it.

    A session expires after ``expiry`` entries without use. The least recently used one expires early if there are more
    than ``most`` sessions or their answers take too many bytes. The cost of applying a command is bounded by its own
    size and the machine's work.

    ``_by_use`` are sessions in order of their last use, as they were when it was made, and ``_place`` where the first
    of them may be that was not used since; all others are newer. No session was used last before ``_unused_since``.
    """

    _FIELDS = ("machine", "expiry", "most", "sessions", "forgotten")

    def __init__(self, machine: StateMachine, *, expiry: int = EXPIRY, most: int = MAX_SESSIONS) -> None:
        self.machine = machine
        self.expiry, self.most = expiry, most
        self.sessions: ImmutableMap[int, Session] = ImmutableMap()
        self.forgotten: Index = 0
        self._bytes = 0
        self._by_use: tuple[tuple[Index, int], ...] = ()
        self._place: int = 0
        self._unused_since: Index = 0

    @staticmethod
    def of(machine: "StateMachine | Sessions") -> "Sessions":
        """The given machine with sessions; one that is a ``Sessions`` already is returned as it is."""
        return machine if isinstance(machine, Sessions) else Sessions(machine)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sessions):
            return NotImplemented
        return all(getattr(self, field) == getattr(other, field) for field in self._FIELDS)

    __hash__ = None  # type: ignore[assignment]

    @property
    def answer_bytes(self) -> int:
        """The bytes of all answers that the sessions keep, as the limit counts them."""
        return self._bytes

    def apply(self, entry: Entry) -> Answer:
        """Apply a committed entry; entries without a command and repeated commands do not change the machine."""
        if type(entry.payload) is not Normal:
            return NOTHING
        try:
            command, sealed = unseal(entry.payload.data)
        except ValueError as error:
            return _unreadable(error)
        if sealed is not None:
            return self._once(entry.index, sealed)
        return _answer_of(self.machine.apply(command))

    def query(self, query: Any) -> Any:
        """The machine's answer to a query; the state does not change."""
        return self.machine.query(query)

    def snapshot(self) -> bytes:
        """Machine and sessions as bytes; sessions are included because a retry may arrive after the snapshot."""
        sessions = [
            (client, (used, self.sessions[client].done, _in_order(self.sessions[client].answers)))
            for used, client in sorted((one.used, client) for client, one in self.sessions.items())
        ]
        image = (sessions, self.machine.snapshot())
        return _pack((*image, self.forgotten) if self.forgotten else image)

    def restore(self, data: bytes) -> None:
        """Replace machine and sessions by those of a snapshot; raises ``StorageFailed`` for other bytes."""
        image, sessions = read_image(data)
        self.machine.restore(image.machine)
        self.sessions, self.forgotten = ImmutableMap.of(sessions), image.forgotten
        self._bytes = sum(one.bytes for one in sessions.values())
        self._by_use, self._place, self._unused_since = (), 0, 0

    def fork(self) -> "Sessions":
        """An independent copy; its cost does not grow with the number of sessions."""
        twin = type(self).__new__(type(self))
        vars(twin).update(vars(self), machine=self.machine.fork())
        return twin

    def digest(self) -> str:
        """A digest of the state; replicas that applied the same entries have the same digest."""
        return blake2b(self.snapshot(), digest_size=8).hexdigest()

    def _once(self, index: Index, sealed: Sealed) -> Answer:
        self._forget(index)
        before = self.sessions.get(sealed.client)
        if before is None:
            if index - sealed.since > self.expiry or sealed.since < self.forgotten:
                return Expired(index)
            before = Session(index)
        answer, after = self._answer(Session(index, before.done, before.answers, before.bytes), sealed)
        self.sessions = self.sessions.put(sealed.client, after)
        self._bytes += after.bytes - before.bytes
        self._make_room()
        return answer

    def _answer(self, session: Session, sealed: Sealed) -> tuple[Answer, Session]:
        """The first answer to this serial, the remembered one or a new one, and the session after it."""
        if sealed.serial <= session.done:
            return Rejected(f"serial {sealed.serial} was answered and acknowledged long ago"), session
        session = session.acknowledge(sealed.done)
        known = session.answers.get(sealed.serial)
        if known is not None:
            return known, session
        if session.is_full:
            why = f"the session has {len(session.answers)} answers that its client did not acknowledge"
            return Rejected(why), session
        if type(sealed) is SealedBatch:
            if not session.has_answered(sealed.serial - 1):
                return OutOfOrder(sealed.serial), session
            answer: Answer = self._run_all(sealed.command)
        else:
            answer = self._run(sealed.command)
        return answer, session.remember(sealed.serial, answer)

    def _run(self, command: Any) -> Answer:
        return _answer_of(self.machine.apply(command))

    def _run_all(self, commands: list[Any]) -> Batched:
        """Apply every command in order; a rejected one does not stop the others."""
        values = [*map(self.machine.apply, commands)]
        if Rejected not in set(map(type, values)):
            return Batched(values)
        refused = {place: value.why for place, value in enumerate(values) if type(value) is Rejected}
        return Batched([None if place in refused else value for place, value in enumerate(values)], refused)

    def outcome(self, client: int, serial: int) -> Answer | None:
        """The answer to this serial of a client; ``None`` if it was not applied or is no longer known."""
        session = self.sessions.get(client)
        return None if session is None else session.answers.get(serial)

    def _forget(self, index: Index) -> None:
        """Expire unused sessions, the least recently used first."""
        while self.sessions and index - self._unused_since > self.expiry:
            client = self._least_recently_used()
            if index - self.sessions[client].used <= self.expiry:
                return
            self._drop(client)

    def _make_room(self) -> None:
        """Expire the least recently used session early; sessions opened before its last use are then not accepted."""
        while len(self.sessions) > 1 and (len(self.sessions) > self.most or self._bytes > 4 * ANSWER_BYTES):
            client = self._least_recently_used()
            self.forgotten = max(self.forgotten, self.sessions[client].used)
            self._drop(client)

    def _least_recently_used(self) -> int:
        """The client of the least recently used session; sorts them only after as many uses as there are sessions."""
        while True:
            while self._place < len(self._by_use):
                used, client = self._by_use[self._place]
                session = self.sessions.get(client)
                if session is not None and session.used == used:
                    self._unused_since = used
                    return client
                self._place += 1
            self._by_use = tuple(sorted((one.used, client) for client, one in self.sessions.items()))
            self._place = 0

    def _drop(self, client: int) -> None:
        self._bytes -= self.sessions[client].bytes
        self.sessions = self.sessions.without(client)


def _in_order(answers: ImmutableMap[int, Answer]) -> dict[int, Answer]:
    """A session's answers in order of their serials, so that equal sessions make equal bytes."""
    return {serial: answers[serial] for serial in sorted(answers)}


_DELETED: Any = object()
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "put": ("key", "value"),
    "get": ("key",),
    "append": ("key", "value"),
    "cas": ("key", "old", "new"),
    "delete": ("key",),
    "incr": ("key",),
}
"""The fields that a command of each kind needs."""
_KEYS = frozenset({str, int})
"""The types of keys. ``True`` is not one: it equals the key 1, but not after a snapshot is restored."""
_NUMBERS = frozenset({int, float})


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
        if data is not None and not isinstance(data, Mapping):
            raise ConfigError("data", data, "must map keys to values")
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
        return {key: value for key, value in merged.items() if value is not _DELETED}

    def apply(self, command: Any, /) -> Any:
        """Apply one command; :class:`KeyValue` lists the forms."""
        if type(command) is dict and command.get("op") == "put" and type(key := command.get("key")) in _KEYS:
            value = command.get("value", _DELETED)  # a shortcut for the most frequent command
            if value is not _DELETED:
                self._changes[key] = value
                return None
        return self._check_and_apply(command)

    def _check_and_apply(self, command: Any) -> Any:
        op = command.get("op") if isinstance(command, dict) else None
        if not isinstance(op, str) or op not in _NEEDS:
            return Rejected(f"{shown(command)} is not a command; use an 'op' of {', '.join(_NEEDS)}")
        for field in _NEEDS[op]:
            if field not in command:
                return Rejected(f"{op!r} needs {field!r}")
        if type(command["key"]) not in _KEYS:
            return Rejected(f"{shown(command['key'])} is not a key; use a string or a whole number")
        return self._operate(op, command["key"], command)

    def query(self, query: Any, /) -> Any:
        """The value of a key; ``None`` if it is not in the table."""
        if type(query) not in _KEYS:
            return Rejected(f"{shown(query)} is not a key; use a string or a whole number")
        value = self._changes.get(query, _DELETED) if query in self._changes else self._base.get(query)
        return None if value is _DELETED else value

    def snapshot(self) -> bytes:
        """The table as MessagePack: a list of (key, value) pairs."""
        return _pack(sorted(self.data.items(), key=lambda item: (isinstance(item[0], str), item[0])))

    def restore(self, data: bytes, /) -> None:
        """Replace the table by that of a snapshot; raises ``StorageFailed`` for other bytes."""
        try:
            table = {int(key) if type(key) is bool else key: value for key, value in _unpack(data)}
        except (MsgspecError, ValueError, TypeError, RecursionError) as wrong:
            raise unreadable_snapshot(wrong) from None
        if not all(type(key) in _KEYS for key in table):
            raise unreadable_snapshot("a key is neither a string nor a whole number")
        self._base, self._changes = table, {}

    def fork(self) -> Self:
        """An independent copy; after 64 changes they are merged into a new shared table."""
        if len(self._changes) > 64:
            self._base, self._changes = self.data, {}
        twin = type(self).__new__(type(self))
        vars(twin).update(vars(self), _changes=dict(self._changes))
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
            return Rejected(f"cannot append {shown(more)} to {shown(old)}")
        if len(more) + len(old or ()) > MAX_VALUE_BYTES:
            return Rejected(f"the value would be longer than {MAX_VALUE_BYTES}; put a shorter one first")
        self._changes[key] = longer = more if old is None else old + more
        return longer

    def _cas(self, key: Any, old: Any, new: Any) -> bool:
        holds = bool(self.query(key) == old)
        if holds:
            self._changes[key] = new
        return holds

    def _delete(self, key: Any) -> bool:
        was_there = self.query(key) is not None
        self._changes[key] = _DELETED
        return was_there

    def _incr(self, key: Any, by: Any) -> Any:
        old = self.query(key)
        old = 0 if old is None else old
        new = _sum(old, by)
        if type(new) is not Rejected:
            self._changes[key] = new
        return new


def _sum(one: Any, other: Any) -> Any:
    """The sum of two numbers; ``Rejected`` for other values, and for sums beyond 64 bits or not finite."""
    if type(one) not in _NUMBERS or type(other) not in _NUMBERS:
        return Rejected(f"cannot add {shown(other)} to {shown(one)}")
    total = one + other
    return (
        total
        if is_portable_number(total)
        else Rejected(f"{one!r} and {other!r} add up to more than 64 bits or to no finite number")
    )


class Counter:
    """The smallest machine: a command is a number to add; any query returns the sum."""

    def __init__(self) -> None:
        self.total: float = 0

    def __eq__(self, other: object) -> bool:
        return self.total == other.total if isinstance(other, Counter) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def apply(self, command: Any, /) -> Any:
        """Add a number; returns the new sum."""
        total = _sum(self.total, command)
        if type(total) is not Rejected:
            self.total = total
        return total

    def query(self, _query: Any = None, /) -> float:
        """The current sum; the query is ignored."""
        return self.total

    def snapshot(self) -> bytes:
        """The sum as MessagePack bytes."""
        return _pack(self.total)

    def restore(self, data: bytes, /) -> None:
        """Replace the sum by that of a snapshot; raises ``StorageFailed`` for other bytes."""
        try:
            total = _unpack(data)
        except (MsgspecError, ValueError, RecursionError) as wrong:
            raise unreadable_snapshot(wrong) from None
        if type(total) not in _NUMBERS:
            raise unreadable_snapshot(f"{shown(total)} is not a sum")
        self.total = total

    def fork(self) -> Self:
        """An independent copy."""
        return copy(self)
