"""The machine of a campaign once more, as short as possible: a table, and sessions that apply each command once (§6.3).

It shares no code with :mod:`pyraft_lab.machine`: nothing is cached, nothing is shared between copies, and whatever has
to be found is looked for from the start. So a mistake there is a difference here, at the entry that shows it.

>>> one = Reference(expiry=100, most=3)
>>> one.apply(1, encode({"op": "incr", "key": "x"}, client=7, serial=1)), one.table
(1, {'x': 1})
>>> one.apply(2, encode({"op": "incr", "key": "x"}, client=7, serial=1)), one.table
(1, {'x': 1})
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any

from pyraft_lab.command import Sealed, SealedBatch, encode, unseal
from pyraft_lab.engine.commands import Apply, Command
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.types import Index
from pyraft_lab.machine import KeyValue, Sessions
from pyraft_lab.session import Answer, Batched, Expired, OutOfOrder, Rejected, Value

__all__ = ["LIKE_THE_REFERENCE", "Followed", "Reference", "Unusual", "difference", "encode", "plain"]
LIKE_THE_REFERENCE = "machines do as specified"


class Unusual(Enum):
    """An answer that is no value; the words of a refusal are the machine's own business."""

    REJECTED = "rejected"
    EXPIRED = "expired"
    OUT_OF_ORDER = "out of order"


REJECTED = Unusual.REJECTED
_NOTHING = object()


class Kept:
    """A session: when it was used last, the serials its client needs no more, and the answers to others."""

    def __init__(self, used: Index) -> None:
        self.used, self.done, self.answers = used, 0, dict[int, Any]()


class Reference:
    """The table and its sessions after some entries; each is applied once, by its index."""

    def __init__(self, *, expiry: int, most: int) -> None:
        self.expiry, self.most = expiry, most
        self.table: dict[Any, Any] = {}
        self.sessions: dict[int, Kept] = {}
        self.forgotten: Index = 0

    def apply(self, index: Index, data: bytes) -> Any:
        """The answer to the command in an entry; an :class:`Unusual` one for those that change nothing."""
        try:
            command, sealed = unseal(data)
        except ValueError:
            return REJECTED
        return self._operate(command) if sealed is None else self._once(index, sealed)

    def _once(self, index: Index, sealed: Sealed) -> Any:
        self.sessions = {client: one for client, one in self.sessions.items() if index - one.used <= self.expiry}
        if sealed.client not in self.sessions:
            if index - sealed.since > self.expiry or sealed.since < self.forgotten:
                return Unusual.EXPIRED
            self.sessions[sealed.client] = Kept(index)
        session = self.sessions[sealed.client]
        session.used = index
        answer = self._in_session(session, sealed)
        while len(self.sessions) > max(1, self.most):
            client = min(self.sessions, key=lambda one: self.sessions[one].used)
            self.forgotten = max(self.forgotten, self.sessions.pop(client).used)
        return answer

    def _in_session(self, session: Kept, sealed: Sealed) -> Any:
        if sealed.serial <= session.done:
            return REJECTED
        session.done = max(session.done, sealed.done)
        session.answers = {serial: one for serial, one in session.answers.items() if serial > session.done}
        if sealed.serial in session.answers:
            return session.answers[sealed.serial]
        before = sealed.serial - 1
        if isinstance(sealed, SealedBatch) and before > session.done and before not in session.answers:
            return Unusual.OUT_OF_ORDER
        commands = sealed.command if isinstance(sealed, SealedBatch) else [sealed.command]
        answers = [self._operate(command) for command in commands]
        session.answers[sealed.serial] = answers if isinstance(sealed, SealedBatch) else answers[0]
        return session.answers[sealed.serial]

    def _operate(self, command: Any) -> Any:
        try:
            key, old = command["key"], self.table.get(command["key"])
            answer, new = _operated(command, old)
        except (KeyError, TypeError):
            return REJECTED
        if new is None and command["op"] == "delete":
            self.table.pop(key, None)
        elif new is not _NOTHING:
            self.table[key] = new
        return answer


def _operated(command: Any, old: Any) -> tuple[Any, Any]:
    """The answer to a command on a key with this value, and the new value."""
    match command["op"]:
        case "put":
            return None, command["value"]
        case "cas":
            return (True, command["new"]) if old == command["old"] else (False, _NOTHING)
        case "delete":
            return old is not None, None
        case "append":
            more = command["value"]
            fits = isinstance(more, str | list) and (old is None or type(old) is type(more))
            longer = (more if old is None else old + more) if fits else None
            return (longer, longer) if fits else (REJECTED, _NOTHING)
        case "incr":
            by, first = command.get("by", 1), 0 if old is None else old
            fits = type(by) in (int, float) and type(first) in (int, float)
            return (first + by, first + by) if fits else (REJECTED, _NOTHING)
        case _:
            return old, _NOTHING


def plain(answer: Answer) -> Any:
    """An answer of the machine in the form of the reference's."""
    match answer:
        case Value(value):
            return value
        case Batched(values, rejected):
            return [REJECTED if place in rejected else value for place, value in enumerate(values)]
        case Rejected():
            return REJECTED
        case Expired():
            return Unusual.EXPIRED
        case OutOfOrder():
            return Unusual.OUT_OF_ORDER


def difference(machine: Sessions, reference: Reference) -> str:
    """What differs between a machine and the reference after the same entries, in words; empty if nothing does."""
    wrong = _wrong_sum(machine)
    assert isinstance(machine.machine, KeyValue), "the reference is a table of keys"
    table = machine.machine.data
    if table != reference.table:
        keys = sorted({*table, *reference.table}, key=str)
        key = next(key for key in keys if table.get(key, _NOTHING) != reference.table.get(key, _NOTHING))
        return f"key {key!r} is {table.get(key)!r} instead of {reference.table.get(key)!r}"
    found = {
        client: (one.used, one.done, {serial: plain(answer) for serial, answer in one.answers.items()})
        for client, one in machine.sessions.items()
    }
    wanted = {client: (one.used, one.done, one.answers) for client, one in reference.sessions.items()}
    if found != wanted:
        return f"its sessions are {found} instead of {wanted}"
    if machine.forgotten != reference.forgotten:
        return f"it has forgotten sessions up to {machine.forgotten} instead of {reference.forgotten}"
    return wrong


def _wrong_sum(machine: Sessions) -> str:
    kept, total = machine.answer_bytes, sum(one.bytes for one in machine.sessions.values())
    return "" if kept == total else f"it counts {kept} bytes of answers, and has {total}"


class Followed:
    """The reference beside a cluster: it applies each entry when the first server does.

    The machines must be tables of keys; of any other machine it says nothing.
    """

    def __init__(self, past: Iterable[tuple[int, Entry]] = ()) -> None:
        self.reference: Reference | None = None
        self.entries = [*past]

    def until(self, event: int) -> "Followed":
        """As it was before an event."""
        return Followed(one for one in self.entries if one[0] < event)

    def take(self, commands: Iterable[Command], event: int) -> None:
        """Apply what no server has applied before."""
        for entry in (one for command in commands if type(command) is Apply for one in command.entries):
            if entry.index == len(self.entries) + 1:
                self.entries.append((event, entry))
                if self.reference is not None:
                    self._apply(entry)

    def difference(self, machine: Sessions, applied: Index) -> str:
        """What differs in a machine that has applied as much, in words; empty if nothing does, or it has not."""
        if applied != len(self.entries) or type(machine.machine) is not KeyValue:
            return ""
        if self.reference is None:
            self.reference = Reference(expiry=machine.expiry, most=machine.most)
            for _, entry in self.entries:
                self._apply(entry)
        return difference(machine, self.reference)

    def _apply(self, entry: Entry) -> None:
        if self.reference is not None and isinstance(entry.payload, Normal):
            self.reference.apply(entry.index, entry.payload.data)
