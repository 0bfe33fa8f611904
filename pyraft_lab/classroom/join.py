"""``pyraft-lab join``: one node in a classroom's cluster, automatic or played by hand."""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pyraft_lab.classroom.keys import is_terminal
from pyraft_lab.classroom.line_mode import LineMode
from pyraft_lab.classroom.screen import Screen
from pyraft_lab.classroom.seat import RoomAddress, take_seat
from pyraft_lab.engine.types import NodeId
from pyraft_lab.exercises.player import Player
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.terminal import options
from pyraft_lab.terminal.client import RETAINED_TIMEOUT
from pyraft_lab.terminal.reach import connect_to_cluster
from pyraft_lab.terminal.watch import PAUSE
from pyraft_lab.trace.export import LogExporter

EXAMPLES = """pyraft-lab join room7 --broker mqtt://192.168.1.5:1883
pyraft-lab join room7 --broker mqtt://192.168.1.5:1883 --by-hand     answer for your node yourself
pyraft-lab watch --cluster room7 --broker mqtt://192.168.1.5:1883    to see everybody
pyraft-lab teach room7 --broker mqtt://192.168.1.5:1883 --seats 5    for the teacher"""


def main(arguments: Sequence[str]) -> int:
    """Join and stay until SIGTERM or Ctrl-C; the node is removed from the membership before it leaves."""
    chosen = _parser().parse_args(arguments)
    if not is_terminal():
        options.log_to_stderr(chosen.log_level)
    return options.run(_join(chosen))


async def _join(chosen: argparse.Namespace) -> int:
    stop = options.stop_on_signals()
    place = RoomAddress(broker=chosen.broker, cluster=chosen.cluster, certificates=options.certificates(chosen))
    player = Player(by_hand=chosen.by_hand, known=None if chosen.every else 2)
    show = Screen(chosen.cluster, player, stop) if is_terminal() else LineMode(player)

    def told(me: NodeId) -> None:
        show.me = me
        if isinstance(show, LineMode):
            print(f"room {chosen.cluster}: you are node {me}", flush=True)

    with tempfile.TemporaryDirectory(prefix="pyraft-seat-") as disk:
        async with connect_to_cluster(chosen) as remote:
            show.remote = remote
            await asyncio.sleep(RETAINED_TIMEOUT)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(show.run()), group.create_task(_tell(remote, player, show))]
                await take_seat(
                    place, remote, Path(disk), stop, told=told, player=player, observers=[LogExporter(), show.note]
                )
                for task in tasks:
                    task.cancel()
    return stop.code


async def _tell(remote: Remote, player: Player, show: Screen | LineMode) -> None:
    """Report to the teacher how the node is played."""
    told = None
    while True:
        if player.playing != told and show.me:
            remote.publish_playing(show.me, told := player.playing)
        await asyncio.sleep(PAUSE)


def _parser() -> argparse.ArgumentParser:
    face = options.parser("join", "One node in a classroom's cluster; the room is the cluster's name.", EXAMPLES)
    face.add_argument("cluster", type=options.cluster, metavar="ROOM", help="the room's code, the same for everybody")
    options.add_cluster(face, named=False)
    face.add_argument(
        "--by-hand", action="store_true", help="decide for the node yourself; the reference marks your answers"
    )
    face.add_argument(
        "--every", action="store_true", help="with --by-hand: also ask questions that you answered right twice"
    )
    options.add_log_level(face)
    return face
