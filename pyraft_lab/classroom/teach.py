"""``pyraft-lab teach``: show a room to its teacher, fill its seats, and inject faults."""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pyraft_lab.classroom import tabs
from pyraft_lab.classroom.bots import MAX_BOTS, Bots
from pyraft_lab.classroom.keys import LineEditor, is_terminal, keys, lines
from pyraft_lab.classroom.pace import PACE, keep_pace
from pyraft_lab.classroom.seat import RoomAddress
from pyraft_lab.classroom.teacher_commands import HELP, TeacherCommands, carried_out
from pyraft_lab.engine.types import NodeId
from pyraft_lab.network.address import Address
from pyraft_lab.network.faults import LinkFaults
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import Playing, Room
from pyraft_lab.terminal import options
from pyraft_lab.terminal.clearing import clear_room
from pyraft_lab.terminal.client import RETAINED_TIMEOUT
from pyraft_lab.terminal.reach import connect_to_cluster
from pyraft_lab.terminal.watch import PAUSE, View

EXAMPLES = """pyraft-lab teach room7 --broker mqtt://localhost --seats 5
pyraft-lab teach room7 --tabs --seats 5       one link for everybody: seats in browser tabs
pyraft-lab teach room7 --tabs --seats 30      the most automatic nodes; each leaves when a tab joins
pyraft-lab teach room7 --tabs --seats 5 --host 127.0.0.1
                                              only for tabs on this machine, to try it out
echo 'partition 1,2 3,4,5' | pyraft-lab teach room7 --broker mqtt://localhost --seats 5    from a script"""

ABOUT = f"A classroom for its teacher: type commands below the picture.\n\n{HELP}"


def main(arguments: Sequence[str]) -> int:
    """Run until ``quit`` or Ctrl-C; then heal the room, stop the automatic nodes, and clear the room at the broker."""
    face = parser()
    chosen = face.parse_args(arguments)
    if chosen.broker is None and not chosen.tabs:
        face.error("name a broker with --broker, or start one for browser tabs with --tabs")
    return options.run(_teach(chosen))


async def _teach(chosen: argparse.Namespace) -> int:
    stop = options.stop_on_signals()
    async with AsyncExitStack() as stack:
        told = await _invitation(stack, chosen) if chosen.tabs else ""
        return await _room(chosen, stop, told)


async def _invitation(stack: AsyncExitStack, chosen: argparse.Namespace) -> str:
    """Open the page of tabs; its link, on a screen with the warning, which stays on stderr when the screen is gone."""
    warning = tabs.open_to_all(chosen)
    link = tabs.link_text(await tabs.open_page(stack, chosen))
    link += f"\nseats in a terminal: pyraft-lab join {chosen.cluster} --broker {Address.parse(chosen.broker)}"
    if not warning:
        return link
    sys.stderr.write(f"pyraft-lab: {warning}\n")
    return f"{link}\n{warning}" if is_terminal() else link


async def _room(chosen: argparse.Namespace, stop: options.Stop, told: str) -> int:
    """Keep the room until ``stop``; ``told`` invites to it."""
    place = RoomAddress(broker=chosen.broker, cluster=chosen.cluster, certificates=options.certificates(chosen))
    async with connect_to_cluster(chosen) as remote:
        await asyncio.sleep(RETAINED_TIMEOUT)
        bots = Bots(place, remote, seats=chosen.seats)
        commands = TeacherCommands(remote, bots, Room(pace=chosen.pace or (PACE if chosen.tabs else 1.0)), stop)
        commands.publish()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bots.run())]
            tasks += [group.create_task(tabs.remove_the_gone(remote))] if chosen.tabs else []
            tasks += [group.create_task(keep_pace(remote, commands, has_tabs=chosen.tabs))] if not chosen.pace else []
            front = _screen(chosen.cluster, remote, commands, told) if is_terminal() else _listen(commands, told)
            tasks.append(group.create_task(front))
            await stop.wait()
            commands.faults, commands.room = LinkFaults(), Room()
            commands.publish()
            await bots.leave()
            for task in tasks:
                task.cancel()
    if left := await clear_room(chosen):
        print(left, flush=True)
    return stop.code


class CommandQueue:
    """Commands that run beside the screen: it shows how long each has been running, and can cancel them."""

    def __init__(self, commands: TeacherCommands) -> None:
        self.answer = Text(HELP, style="dim")
        self._commands = commands
        self._running: dict[asyncio.Task[None], tuple[str, float]] = {}

    def start(self, line: str) -> None:
        """Start a command, or cancel the running ones."""
        if line.strip() == "cancel" and self._running:
            self.close()
            return
        task = asyncio.create_task(self._execute(line))
        self._running[task] = (line, asyncio.get_running_loop().time())
        task.add_done_callback(lambda done: self._running.pop(done, None))

    def close(self) -> None:
        """Cancel the running commands; messages that were sent may still take effect."""
        lines = ", ".join(line for line, _ in self._running.values())
        self.answer = Text(f"cancelled: {lines}; messages already sent may still take effect", style="bold")
        for task in self._running:
            task.cancel()

    def running(self) -> Text:
        """The running commands, and how to cancel them; empty if there are none."""
        now = asyncio.get_running_loop().time()
        slow = [(line, now - began) for line, began in self._running.values() if now - began > NOTICED]
        told = ", ".join(f"{line} ({seconds:.0f} s)" for line, seconds in slow)
        return Text(f"running: {told}; type cancel to stop waiting" if told else "", style="bold")

    async def _execute(self, line: str) -> None:
        told, is_done = await carried_out(self._commands, line)
        self.answer = Text(told, style="" if is_done else "red")


NOTICED = 0.3
"""Seconds after which the screen shows a running command."""


async def _screen(room: str, remote: Remote, commands: TeacherCommands, told: str) -> None:
    """Draw the room, and read commands below it."""
    queue, view, console = CommandQueue(commands), View(room, remote), Console()
    invited = Text(told)
    editor = LineEditor(queue.start)
    with keys(editor.on_key), Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            table = view.picture(console.width, notes=notes(remote, commands.bots))
            prompt = Text.assemble(("> ", "bold"), editor.text, ("_", "blink"))
            parts = (
                table,
                invited,
                Text(commands.faults_in_force, style="bold"),
                queue.answer,
                queue.running(),
                prompt,
            )
            live.update(Group(*parts), refresh=True)
            await asyncio.sleep(PAUSE)


async def _listen(commands: TeacherCommands, told: str) -> None:
    """Run commands from a script, one per line and one after the other; the room stays when they end."""
    if told:
        print(told, flush=True)
    queue = await lines()
    while (line := await queue.get()) is not None:
        told, _ = await carried_out(commands, line)
        print(told, flush=True)


def notes(remote: Remote, bots: Bots) -> Mapping[NodeId, str]:
    """A note for each node: a bot, a learner's, or played by hand with its score."""
    seats = {node: _note(remote.players.get(node)) for node in remote.metrics}
    return {node: "automatic" if node in bots.nodes else note for node, note in seats.items()}


def _note(playing: Playing | None) -> str:
    if playing is None:
        return "a node"
    who = f"{playing.name}, " if playing.name else ""
    if not playing.by_hand:
        return playing.name or "a learner's"
    return f"{who}by hand {playing.right}/{playing.given}{' thinking' if playing.asked else ''}"


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    face = options.parser("teach", ABOUT, EXAMPLES)
    face.add_argument("cluster", type=options.cluster, metavar="ROOM", help="the room's code, the same for everybody")
    options.add_cluster(face, named=False, required=False)
    tabs.add_options(face)
    face.add_argument(
        "--seats",
        type=options.count("a number of seats", 0, MAX_BOTS),
        default=0,
        metavar="N",
        help=f"fill empty seats with automatic nodes (at most {MAX_BOTS}); more learners than that may join",
    )
    face.add_argument(
        "--pace",
        type=options.factor,
        metavar="X",
        help=f"slow all clocks down by this factor (default 1, with --tabs at least {PACE:g} and by the members; "
        "slower after leaders were lost repeatedly)",
    )
    return face
