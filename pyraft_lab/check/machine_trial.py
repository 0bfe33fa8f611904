"""The machine and its sessions on trial: random entries, of which some come twice, late, or before others (§6.3).

Three replicas get the same entries. One never stops, one is replaced by a copy now and then, and one is away for a
while and restores a snapshot onto what it holds. After every entry each is what the reference says::

    serial    1  2  4  2  3  …        4 before 3: refused;  2 again: its first answer
    sessions  at most 3, and each ends after 12 entries without use: then its client is told
"""

import random
from collections.abc import Iterator

from pyraft_lab.check.failure import Failure
from pyraft_lab.check.reference import LIKE_THE_REFERENCE, Reference, difference, plain
from pyraft_lab.check.swarm import Draw
from pyraft_lab.command import encode, seal
from pyraft_lab.engine.log import Entry, Noop, Normal
from pyraft_lab.engine.types import Index, LogId
from pyraft_lab.machine import KeyValue, Sessions

ENTRIES = 300
EXPIRY, MOST, CLIENTS = 12, 3, 5
LATEST = 40
"""How many of the last commands may come again."""
COMMANDS = ("put", "put", "append", "append", "delete", "cas", "incr", "get")


class Sender:
    """A client that numbers its commands, and sends a few before it knows the answers to those before."""

    def __init__(self, id: int, chance: random.Random) -> None:
        self.id, self.chance = id, chance
        self.since, self.serial, self.done = 0, 0, 0
        self.left_out: list[bytes] = []

    def next(self, index: Index) -> bytes:
        """Its next command, one that it left out before, or the first one of a new session."""
        luck = self.chance.random()
        if self.left_out and luck < 0.3:
            return self.left_out.pop(0)
        if luck < 0.35:
            self.since = index - 1
        self.done = self.chance.randrange(self.done, self.serial + 1) if luck < 0.7 else self.done
        self.serial += 1
        commands = [encode(self.command()) for _ in range(self.chance.choice((1, 1, 2)))]
        sealed = seal(commands, client=self.id, serial=self.serial, done=self.done, since=self.since)
        if luck > 0.9:
            self.left_out.append(sealed)
            return self.next(index)
        return sealed

    def command(self) -> dict[str, object]:
        """A command to one of three keys, with everything that any operation needs."""
        key, text = f"k{self.chance.randrange(3)}", self.chance.choice(("", "a", "b"))
        return {"op": self.chance.choice(COMMANDS), "key": key, "value": text, "old": text, "new": text}


class MachineTrial:
    """Three replicas of a machine, and the reference."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.senders = [Sender(client, self.chance) for client in range(1, CLIENTS + 1)]
        self.sent: list[bytes] = []
        self.reference = Reference(expiry=EXPIRY, most=MOST)
        self.steady, self.copied, self.restored = (small_machine() for _ in range(3))
        self.is_away = False

    def run(self) -> Iterator[str]:
        """What is wrong, after each entry."""
        for index in range(1, ENTRIES + 1):
            if self.chance.random() < 0.1:
                yield from self._replace(index)
            data = self._data(index)
            entry = Entry(LogId(1, 1, index), Noop() if data is None else Normal(data))
            wanted = None if data is None else self.reference.apply(index, data)
            self.is_away = self.is_away or self.chance.random() < 0.1
            for machine in (self.steady, self.copied, *(() if self.is_away else (self.restored,))):
                answer = plain(machine.apply(entry))
                if answer != wanted:
                    yield f"entry {index} is answered {answer!r} instead of {wanted!r}"
                wrong = difference(machine, self.reference)
                if wrong:
                    yield f"after entry {index}, {wrong}"

    def _data(self, index: Index) -> bytes | None:
        luck = self.chance.random()
        if luck < 0.05:
            return None
        if self.sent and luck < 0.25:
            return self.chance.choice(self.sent[-LATEST:])
        if luck < 0.3:
            return encode(self.senders[0].command())
        self.sent.append(self.chance.choice(self.senders).next(index))
        return self.sent[-1]

    def _replace(self, index: Index) -> Iterator[str]:
        """A copy in place of one replica, a snapshot in place of another; what was copied stays as it was."""
        before, old = self.copied.snapshot(), self.copied
        self.copied = old.fork()
        old.apply(Entry(LogId(1, 1, index), Normal(encode({"op": "put", "key": "other", "value": index}))))
        if self.copied.snapshot() != before:
            yield f"a copy changes with the machine it was copied from, before entry {index}"
        self.restored.restore(self.steady.snapshot())
        self.is_away = False
        if self.restored != self.steady:
            yield f"a restored snapshot is another machine, before entry {index}"


def small_machine() -> Sessions:
    """A machine that soon forgets sessions."""
    return Sessions(KeyValue(), expiry=EXPIRY, most=MOST)


def machine_failure(draw: Draw) -> Failure | None:
    """The failure of the machine under a seed's entries; ``None`` if all is well."""
    wrong = next(MachineTrial(draw.seed).run(), None)
    return None if wrong is None else Failure(LIKE_THE_REFERENCE, wrong)
