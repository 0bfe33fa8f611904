"""``pyraft-lab join``: one seat in a classroom's cluster; the first to come founds it, the others are taken in."""

import argparse
import asyncio
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pyraft_lab.engine.membership import AddVoters, RemoveVoters
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import DuplicateNode, PyraftError
from pyraft_lab.runtime.questions import ChangeMembers, TakeLearner
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.server import Seat, serve
from pyraft_lab.terminal import words
from pyraft_lab.terminal.client import FIRST_NEWS
from pyraft_lab.trace.export import LogExporter

EXAMPLES = """pyraft-lab join room7 --broker mqtt://192.168.1.5:1883
pyraft-lab watch --cluster room7 --broker mqtt://192.168.1.5:1883    to see everybody"""
log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Sit down, and stay until SIGTERM or Ctrl-C; who leaves is voted out first."""
    chosen = _face().parse_args(arguments)
    words.log_to_stderr(chosen.log_level)
    return words.run(_join(chosen))


async def _join(chosen: argparse.Namespace) -> int:
    stop = words.stop_on_signals()
    certificates = words.certificates(chosen)
    with tempfile.TemporaryDirectory(prefix="pyraft-seat-") as disk:
        async with Remote.connect(chosen.broker, cluster=chosen.cluster, certificates=certificates) as remote:
            await asyncio.sleep(FIRST_NEWS)
            while not stop.is_set():
                try:
                    await _sit(chosen, remote, Path(disk), stop)
                except DuplicateNode as taken:
                    log.info("seat %s was taken at the same moment", taken.node)
    return words.OVER


async def _sit(chosen: argparse.Namespace, remote: Remote, disk: Path, stop: asyncio.Event) -> None:
    """Take the next seat nobody ever had, for this disk is empty: an old number would have forgotten its votes."""
    taken = {node for now in remote.metrics.values() for node in (now.id, *now.membership.nodes)}
    me = max(taken, default=0) + 1
    print(f"room {chosen.cluster}: you are node {me}", flush=True)
    seat = Seat(
        id=me,
        broker=chosen.broker,
        cluster=chosen.cluster,
        data=disk / str(me),
        founders=() if taken else (me,),
        certificates=words.certificates(chosen),
        obedient=True,
    )
    leaving = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        sitting = group.create_task(serve(seat, leaving, observers=[LogExporter()]))
        stopping = group.create_task(_say_goodbye(remote, me, stop, leaving))
        if taken:
            group.create_task(_be_taken_in(remote, me))
        sitting.add_done_callback(lambda _: stopping.cancel())


async def _be_taken_in(remote: Remote, me: NodeId) -> None:
    """First the log, then a vote; while another one is being taken in, wait."""
    await remote.until(lambda: me in remote.metrics)
    await _insist(remote, TakeLearner(me))
    await _insist(remote, ChangeMembers(AddVoters(frozenset({me}))))


async def _insist(remote: Remote, question: TakeLearner | ChangeMembers) -> None:
    while True:
        try:
            await remote.ask_leader(question, seconds=10.0)
        except PyraftError as failed:
            log.info("%s; once more", failed)
            await asyncio.sleep(0.2)
        else:
            return


async def _say_goodbye(remote: Remote, me: NodeId, stop: asyncio.Event, leaving: asyncio.Event) -> None:
    """Be voted out before going, unless nobody else is there to vote."""
    await stop.wait()
    try:
        if any(node != me for node in remote.metrics):
            await remote.ask_leader(ChangeMembers(RemoveVoters(frozenset({me}))), seconds=5.0)
    except PyraftError as failed:
        log.warning("left without being voted out: %s", failed)
    finally:
        leaving.set()


def _face() -> argparse.ArgumentParser:
    face = words.parser("join", "One seat in a classroom's cluster; a room is a cluster's name.", EXAMPLES)
    face.add_argument(
        "cluster", type=words.cluster_name, metavar="ROOM", help="the room's code, the same for everybody"
    )
    words.add_cluster(face, named=False)
    words.add_log_level(face)
    return face
