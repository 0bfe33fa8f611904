"""The teacher's commands, one per line: faults, the room's pace, nodes played by hand, and client calls."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec.structs import replace

from pyraft_lab.classroom.bots import MAX_BOTS, Bots
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.network.faults import LinkFaults
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import Room
from pyraft_lab.runtime.rpc import TransferLeader
from pyraft_lab.terminal import options
from pyraft_lab.terminal.acts import BadArguments, NamedCommand, name_of, read_arguments
from pyraft_lab.terminal.link_faults import check_divides, check_known, groups_of, impose, listed
from pyraft_lab.terminal.members import remove
from pyraft_lab.terminal.values import value_of

COMMAND_TIMEOUT = 10.0
HELP = """faults   partition 1,2 3,4,5 | cut 1 2 | loss 0.2 | delay 0.05 0.2 | heal
room     seats 5 | pace 20 | hand 3 | back 3 | count on | count off | remove 4
cluster  write KEY VALUE | transfer 2 | cancel | quit"""
CONFIRMED = "sure"
"""Written after a command that was refused because the room would lose something."""


def _switch(text: str) -> bool:
    if text not in {"on", "off"}:
        raise options.Refused(f"{options.shown(text)} must be on or off")
    return text == "on"


COMMANDS: Mapping[str, NamedCommand] = {
    "partition": NamedCommand(
        "groups of nodes, as 1,2 3,4,5", "cut the links between groups", (options.nodes,), many=True
    ),
    "cut": NamedCommand("two nodes, as 1 2", "cut the link from one node to another", (options.node, options.node)),
    "loss": NamedCommand("a share, as 0.2", "lose this share of all messages", (options.share,)),
    "delay": NamedCommand("the shortest and the longest in seconds, as 0.05 0.2", "delay all messages", (str, str)),
    "heal": NamedCommand("", "undo all of these"),
    "seats": NamedCommand(
        "a number, as 5", "fill the room with automatic nodes", (options.count("a number of seats", 0, MAX_BOTS),)
    ),
    "pace": NamedCommand("a factor, as 20", "slow all clocks down", (options.factor,)),
    "hand": NamedCommand("nodes, as 3,4", "play these nodes by hand", (options.nodes,)),
    "back": NamedCommand("nodes, as 3,4", "play these nodes automatically", (options.nodes,)),
    "count": NamedCommand("on or off", "whether nodes do what the answers say", (_switch,)),
    "remove": NamedCommand("a node, as 4", "remove a learner or a voter", (options.node,)),
    "expel": NamedCommand("a node, as 4", "the same", (options.node,)),
    "write": NamedCommand("a key and a value, as x 1", "write to the leader", (str, str), many=True),
    "transfer": NamedCommand("a node, as 2", "transfer leadership to it", (options.node,)),
    "cancel": NamedCommand("", "stop waiting for commands that still run"),
    "quit": NamedCommand("", "heal the room, and stop the automatic nodes"),
    "help": NamedCommand("", "show these"),
}
"""All commands; arguments and the nodes they name are checked before anything is done."""


class TeacherCommands:
    """Carry out the teacher's commands, and keep the room's settings."""

    def __init__(self, remote: Remote, bots: Bots, room: Room, stop: asyncio.Event) -> None:
        self.remote, self.bots, self.room, self.faults = remote, bots, room, LinkFaults()
        self.adapts_pace = True
        self._stop = stop
        self._client = remote.client(deadline=COMMAND_TIMEOUT)

    @property
    def faults_in_force(self) -> str:
        """The settings in force, in one line."""
        told = [_links(self.faults), f"{self.bots.seats} seats filled" if self.bots.seats else ""]
        told += [f"clocks {self.room.pace:g} times slower" if self.room.pace != 1 else ""]
        told += [f"by hand: {_listed(self.room.by_hand)}" if self.room.by_hand else ""]
        told += ["answers count" if self.room.for_real else ""]
        return "   ".join(filter(None, told))

    def publish(self) -> None:
        """Publish the settings to every node of the room."""
        self.remote.publish_faults(self.faults)
        self.remote.publish_room(self.room)

    def adapt_pace(self, pace: float) -> None:
        """Set the pace unless it is the present one, or the teacher has set one."""
        if self.adapts_pace and pace != self.room.pace:
            self.room = replace(self.room, pace=pace)
            self.remote.publish_room(self.room)

    async def carry_out(self, line: str) -> str:
        """Carry out one command; returns what was done, in words. Raises ``BadArguments`` and other errors in words."""
        name, *rest = line.split() or [""]
        if not name:
            raise BadArguments(f"type a command: {', '.join(COMMANDS)}")
        order, is_sure = COMMANDS[name_of(COMMANDS, name)], name == "seats" and rest[1:] == [CONFIRMED]
        given = read_arguments(name, order, rest[:1] if is_sure else rest)
        acts: Mapping[str, Callable[[], Awaitable[str]]] = {
            **dict.fromkeys(("partition", "cut", "loss", "delay", "heal"), lambda: self._set_faults(name, given)),
            **dict.fromkeys(("pace", "hand", "back", "count"), lambda: self._arrange(name, given)),
            "seats": lambda: self._seat(given[0], is_sure=is_sure),
        }
        return await acts.get(name, lambda: self._ask(name, given))()

    async def _set_faults(self, name: str, given: tuple[Any, ...]) -> str:
        match name, given:
            case "partition", _:
                groups = groups_of(given)
                check_known(self.remote, (node for group in groups for node in group))
                check_divides(self.remote, groups)
                faults = replace(self.faults, groups=groups)
            case "cut", (src, dst):
                faults = replace(self.faults, cuts=(*self.faults.cuts, self._way(src, dst)))
            case "loss", (share,):
                faults = replace(self.faults, loss=share)
            case "delay", (shortest, longest):
                faults = replace(self.faults, delay=_delay(shortest, longest))
            case _:
                faults = LinkFaults()
        return await self._impose(faults)

    def _way(self, src: NodeId, dst: NodeId) -> tuple[NodeId, NodeId]:
        check_known(self.remote, (src, dst))
        if src == dst:
            raise ConfigError("cut", f"{src} {dst}", "a node has no link to itself; name two nodes")
        return src, dst

    async def _impose(self, faults: LinkFaults) -> str:
        """Apply link faults; a later command may replace them meanwhile."""
        self.faults = faults
        applied = await impose(self.remote, faults, seconds=COMMAND_TIMEOUT, is_over=lambda: self.faults is not faults)
        who = f"applied by {listed(applied)}" if applied else "no node is here yet; nodes that join will apply it"
        missing = self.remote.metrics.keys() - set(applied)
        return f"{_links(faults) or 'no link faults'}; {who}" + (f", not by {listed(missing)}" if missing else "")

    async def _seat(self, seats: int, *, is_sure: bool) -> str:
        if not is_sure and (why := self.bots.what_would_be_lost(seats)):
            raise BadArguments(f"{why}; to do it anyway: seats {seats} {CONFIRMED}")
        self.bots.seats, leaving = seats, self.bots.leaving(seats)
        told = f"leaving one after the other: {listed(leaving)}" if leaving else ""
        return "   ".join(filter(None, (self.faults_in_force, told))) or USUAL

    async def _arrange(self, name: str, given: tuple[Any, ...]) -> str:
        match name, given:
            case "pace", (factor,):
                self.adapts_pace = False
                self.room = replace(self.room, pace=factor)
            case "hand", (nodes,):
                self._check_seats(nodes)
                self.room = replace(self.room, by_hand=self.room.by_hand | set(nodes))
            case "back", (nodes,):
                check_known(self.remote, set(nodes) - self.room.by_hand)
                self.room = replace(self.room, by_hand=self.room.by_hand - set(nodes))
            case _:
                self.room = replace(self.room, for_real=given[0])
        self.remote.publish_room(self.room)
        return self.faults_in_force or USUAL

    def _check_seats(self, nodes: tuple[NodeId, ...]) -> None:
        check_known(self.remote, nodes)
        if automatic := self.bots.nodes.intersection(nodes):
            raise ConfigError(
                "hand",
                ",".join(map(str, nodes)),
                f"{listed(automatic)} {'is' if len(automatic) == 1 else 'are'} automatic; name a learner's node",
            )

    async def _ask(self, name: str, given: tuple[Any, ...]) -> str:
        match name, given:
            case (("remove" | "expel"), (node,)):
                return f"members are {await remove(self.remote, node, seconds=COMMAND_TIMEOUT)}"
            case "write", (key, *rest):
                await self._client.write({"op": "put", "key": key, "value": (value := _value(" ".join(rest)))})
                return f"{key} is {value}, on a majority of disks"
            case "transfer", (node,):
                check_known(self.remote, [node])
                await self.remote.ask_leader(TransferLeader(node), seconds=COMMAND_TIMEOUT)
                return f"leadership goes to node {node}"
            case "quit", ():
                self._stop.set()
                return "healing the room; the automatic nodes leave one after the other ..."
            case "cancel", ():
                return "no command is running"
            case _:
                return HELP


USUAL = "no faults, and usual settings"


def _delay(shortest: str, longest: str) -> tuple[float, float]:
    try:
        return options.delay(shortest, longest)
    except options.Refused as wrong:
        raise BadArguments(f"delay: {wrong}") from None


def _value(text: str) -> Any:
    try:
        return value_of(text)
    except options.Refused as wrong:
        raise BadArguments(f"write: {wrong}") from None


def _links(faults: LinkFaults) -> str:
    """The link faults, in words; empty if there are none."""
    told = [" | ".join(_listed(group) for group in faults.groups)] if faults.groups else []
    told += [f"{src} → {dst} cut" for src, dst in faults.cuts]
    told += [f"loss {faults.loss:.0%}"] if faults.loss else []
    told += [f"delay {faults.delay[0]:g} to {faults.delay[1]:g} s"] if faults.delay[1] else []
    return ", ".join(told)


def _listed(nodes: frozenset[NodeId]) -> str:
    return "{" + ",".join(map(str, sorted(nodes))) + "}"


async def carried_out(commands: TeacherCommands, line: str) -> tuple[str, bool]:
    """Carry out a command; returns what happened, in words, and whether it succeeded."""
    try:
        return await commands.carry_out(line), True
    except PyraftError as failed:
        return str(failed), False
