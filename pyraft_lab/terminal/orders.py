"""What a teacher may order, a line each: faults, the pace of the room, who plays by hand, and what a client may ask."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec.structs import replace

from pyraft_lab.engine.membership import RemoveVoters
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.network.faults import Decree
from pyraft_lab.runtime.questions import ChangeMembers, HandOver
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import Room
from pyraft_lab.terminal import words
from pyraft_lab.terminal.staff import Staff

PATIENCE = 10.0
HELP = """faults   partition 1,2 3,4,5 | cut 1 2 | loss 0.2 | delay 0.05 0.2 | heal
room     seats 5 | pace 20 | hand 3 | back 3 | count on | count off | expel 4
cluster  write KEY VALUE | transfer 2 | quit"""


class UnknownOrder(PyraftError):
    """Nobody knows what that means."""

    def __init__(self, line: str) -> None:
        super().__init__(f"{line!r} is no order; these are:\n{HELP}")


class Orders:
    """The teacher's orders, and how the room stands by them."""

    def __init__(self, remote: Remote, staff: Staff, room: Room, stop: asyncio.Event) -> None:
        self.remote, self.staff, self.room, self.decree = remote, staff, room, Decree()
        self._stop = stop
        self._client = remote.client(deadline=PATIENCE)

    @property
    def standing(self) -> str:
        """What is ordered at present, in a line."""
        told = [_links(self.decree), f"{self.staff.seats} seats filled" if self.staff.seats else ""]
        told += [f"clocks {self.room.pace:g} times slower" if self.room.pace != 1 else ""]
        told += [f"by hand: {_listed(self.room.by_hand)}" if self.room.by_hand else ""]
        told += ["answers count" if self.room.for_real else ""]
        return "   ".join(filter(None, told))

    def publish(self) -> None:
        """Let every seat know."""
        self.remote.decree(self.decree)
        self.remote.arrange(self.room)

    async def obey(self, line: str) -> str:
        """Carry out one order; what was done, in words. ``UnknownOrder`` and other errors say what is wrong."""
        word, *rest = line.split() or [""]
        acts: Mapping[str, Callable[[Sequence[str]], Awaitable[str]]] = {
            **dict.fromkeys(("partition", "cut", "loss", "delay", "heal"), lambda rest: self._spoil(word, rest)),
            **dict.fromkeys(("seats", "pace", "hand", "back", "count"), lambda rest: self._arrange(word, rest)),
            **dict.fromkeys(("expel", "write", "transfer", "quit", "help", ""), lambda rest: self._ask(word, rest)),
        }
        if word not in acts:
            raise UnknownOrder(line)
        try:
            return await acts[word](rest)
        except (ValueError, argparse.ArgumentTypeError) as wrong:
            raise PyraftError(f"{line}: {wrong}") from None

    async def _spoil(self, word: str, rest: Sequence[str]) -> str:
        match word, rest:
            case "partition", [_, *_]:
                self.decree = replace(self.decree, groups=tuple(frozenset(words.nodes(group)) for group in rest))
            case "cut", [src, dst]:
                self.decree = replace(self.decree, cuts=(*self.decree.cuts, (words.node(src), words.node(dst))))
            case "loss", [share]:
                self.decree = replace(self.decree, loss=words.share(share))
            case "delay", [shortest, longest]:
                self.decree = replace(self.decree, delay=(float(shortest), float(longest)))
            case "heal", []:
                self.decree = Decree()
            case _:
                raise UnknownOrder(" ".join([word, *rest]))
        self.publish()
        return _links(self.decree) or "all links are whole"

    async def _arrange(self, word: str, rest: Sequence[str]) -> str:
        match word, rest:
            case "seats", [number]:
                self.staff.seats = words.count(number)
            case "pace", [factor]:
                self.room = replace(self.room, pace=words.factor(factor))
            case "hand", [nodes]:
                self.room = replace(self.room, by_hand=self.room.by_hand | set(words.nodes(nodes)))
            case "back", [nodes]:
                self.room = replace(self.room, by_hand=self.room.by_hand - set(words.nodes(nodes)))
            case "count", [("on" | "off") as switch]:
                self.room = replace(self.room, for_real=switch == "on")
            case _:
                raise UnknownOrder(" ".join([word, *rest]))
        self.publish()
        return self.standing or "everything is as usual"

    async def _ask(self, word: str, rest: Sequence[str]) -> str:
        match word, rest:
            case "expel", [node]:
                gone = ChangeMembers(RemoveVoters(frozenset({words.node(node)})))
                return f"members are {(await self.remote.change(gone, seconds=PATIENCE)).membership}"
            case "write", [key, value]:
                await self._client.write({"op": "put", "key": key, "value": words.value(value)})
                return f"{key} is {value}, on a majority of disks"
            case "transfer", [node]:
                await self.remote.ask_leader(HandOver(words.node(node)), seconds=PATIENCE)
                return f"leadership goes to node {node}"
            case "quit", []:
                self._stop.set()
                return "healing the room; the automatic nodes leave one after the other ..."
            case (("help" | ""), []):
                return HELP
            case _:
                raise UnknownOrder(" ".join([word, *rest]))


def _links(decree: Decree) -> str:
    """How the links are, in words; nothing where they are whole."""
    told = [" | ".join(_listed(group) for group in decree.groups)] if decree.groups else []
    told += [f"{src} → {dst} cut" for src, dst in decree.cuts]
    told += [f"loss {decree.loss:.0%}"] if decree.loss else []
    told += [f"delay {decree.delay[0]:g} to {decree.delay[1]:g} s"] if decree.delay[1] else []
    return ", ".join(told)


def _listed(nodes: frozenset[NodeId]) -> str:
    return "{" + ",".join(map(str, sorted(nodes))) + "}"
