"""``pyraft-lab teach``: a room as its teacher sees it, fills it and spoils it."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.network.faults import Decree
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import Playing, Room
from pyraft_lab.terminal import words
from pyraft_lab.terminal.client import FIRST_NEWS
from pyraft_lab.terminal.keys import LineEditor, is_terminal, keys, lines
from pyraft_lab.terminal.orders import HELP, Orders
from pyraft_lab.terminal.seat import Place
from pyraft_lab.terminal.staff import Staff
from pyraft_lab.terminal.watch import PAUSE, View

EXAMPLES = """pyraft-lab teach room7 --broker mqtt://localhost --seats 5
echo 'partition 1,2 3,4,5' | pyraft-lab teach room7 --broker mqtt://localhost --seats 5    from a script"""

ABOUT = f"A classroom as its teacher sees it: type orders below the picture.\n\n{HELP}"


def main(arguments: Sequence[str]) -> int:
    """Teach until ``quit`` or Ctrl-C; then the room is healed, and its automatic nodes leave."""
    chosen = _face().parse_args(arguments)
    return words.run(_teach(chosen))


async def _teach(chosen: argparse.Namespace) -> int:
    stop = words.stop_on_signals()
    place = Place(broker=chosen.broker, cluster=chosen.cluster, certificates=words.certificates(chosen))
    async with Remote.connect(place.broker, cluster=place.cluster, certificates=place.certificates) as remote:
        await asyncio.sleep(FIRST_NEWS)
        staff = Staff(place, remote, seats=chosen.seats)
        orders = Orders(remote, staff, Room(pace=chosen.pace), stop)
        orders.publish()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(staff.run())]
            front = _screen(chosen.cluster, remote, orders) if is_terminal() else _listen(orders)
            tasks.append(group.create_task(front))
            await stop.wait()
            orders.decree, orders.room = Decree(), Room()
            orders.publish()
            await staff.leave()
            for task in tasks:
                task.cancel()
    return words.OVER


async def _screen(room: str, remote: Remote, orders: Orders) -> None:
    """Draw the room, and take orders below it."""
    entered: asyncio.Queue[str] = asyncio.Queue()
    editor, view, console = LineEditor(entered.put_nowait), View(room, remote), Console()
    answer = Text(HELP, style="dim")
    with keys(editor.hear), Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            while not entered.empty():
                answer = await _obeyed(orders, entered.get_nowait())
            table = view.picture(console.width, notes=notes(remote, orders.staff))
            prompt = Text.assemble(("> ", "bold"), editor.text, ("_", "blink"))
            live.update(Group(table, Text(orders.standing, style="bold"), answer, prompt), refresh=True)
            await asyncio.sleep(PAUSE)


async def _obeyed(orders: Orders, line: str) -> Text:
    """Carry out an order; what came of it, in words."""
    try:
        return Text(await orders.obey(line))
    except PyraftError as failed:
        return Text(str(failed), style="red")


async def _listen(orders: Orders) -> None:
    """Orders from a script, one a line; the room stays when they end."""
    queue = await lines()
    while (line := await queue.get()) is not None:
        print(await _obeyed(orders, line), flush=True)


def notes(remote: Remote, staff: Staff) -> Mapping[NodeId, str]:
    """Who sits where, and how well it is played."""
    seats = {node: _note(remote.players.get(node)) for node in remote.metrics}
    return {node: "automatic" if node in staff.nodes else note for node, note in seats.items()}


def _note(playing: Playing | None) -> str:
    if playing is None:
        return "a node"
    if not playing.by_hand:
        return "a learner's"
    return f"by hand {playing.right}/{playing.given}{' thinking' if playing.asked else ''}"


def _face() -> argparse.ArgumentParser:
    face = words.parser("teach", ABOUT, EXAMPLES)
    face.add_argument(
        "cluster", type=words.cluster_name, metavar="ROOM", help="the room's code, the same for everybody"
    )
    words.add_cluster(face, named=False)
    face.add_argument("--seats", type=words.count, default=0, metavar="N", help="fill empty seats with automatic nodes")
    face.add_argument("--pace", type=words.factor, default=1.0, metavar="X", help="slow all clocks down so many times")
    return face
