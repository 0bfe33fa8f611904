"""What a teacher starts for seats in browser tabs: a broker with WebSockets, the page, and its one link."""

import argparse
import asyncio
import io
from contextlib import AsyncExitStack
from pathlib import Path

from pyraft_lab.classroom.teacher_commands import TeacherCommands
from pyraft_lab.classroom.web import SeatPage
from pyraft_lab.engine.membership import RemoveVoters
from pyraft_lab.engine.types import NodeId, Term
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.extras import needed
from pyraft_lab.network import broker as brokers
from pyraft_lab.network.address import Address
from pyraft_lab.runtime.metrics import leader_of
from pyraft_lab.runtime.process import SLOW_NETWORK
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.rpc import ChangeMembership
from pyraft_lab.terminal import options
from pyraft_lab.terminal.watch import PAUSE

PACE = 5.0
"""How much slower the clocks of a room with tabs are at least: a busy tab delays its heartbeats."""
SLOWEST = 60.0
"""The slowest pace that a room takes by itself."""
UNREST = 3
"""Changes of the term within ``CALM`` election timeouts after which a room slows down."""
CALM = 10.0
GONE = 6.0
"""Seconds without a sign of a seat after which it is removed: a closed tab cannot say goodbye, nor come back."""


def add_options(face: argparse.ArgumentParser) -> None:
    """Add the options for seats in tabs."""
    face.add_argument(
        "--tabs",
        action="store_true",
        help="serve a page where learners take seats in browser tabs, and print its link; starts a broker "
        "unless --broker names a WebSocket",
    )
    face.add_argument(
        "--host",
        default="0.0.0.0",  # noqa: S104 (a class is in this network)
        help="with --tabs: where to listen (default: everywhere in this network, for everybody in it; "
        "127.0.0.1: only this machine)",
    )
    face.add_argument(
        "--page-port",
        type=options.count("a port", 0, 65535),
        default=0,
        metavar="N",
        help="with --tabs: the page's port; 0 picks a free one (default)",
    )
    face.add_argument(
        "--pyodide",
        type=Path,
        metavar="DIR",
        help="with --tabs: serve Python for the browser from here, for rooms without internet (made by make lite)",
    )


async def open_page(stack: AsyncExitStack, chosen: argparse.Namespace) -> str:
    """Start what the tabs need, until ``stack`` ends; the page's link. It sets ``chosen.broker`` if there is none."""
    websocket = chosen.broker
    if websocket is None:
        running = await asyncio.to_thread(lambda: brokers.start(websocket_port=0, host=chosen.host))
        stack.push_async_callback(asyncio.to_thread, running.stop)
        chosen.broker, websocket = running.url, running.websocket_url
    elif not Address.parse(websocket).path:
        raise ConfigError(
            "broker", str(Address.parse(websocket)), "must be a WebSocket for --tabs, such as ws://host:9001"
        )
    page = SeatPage(
        host=chosen.host, port=chosen.page_port, room=chosen.cluster, broker=str(websocket), pyodide=chosen.pyodide
    )
    stack.push_async_callback(asyncio.to_thread, page.close)
    return f"http://{brokers.reachable(chosen.host)}:{page.port}/"


def open_to_all(chosen: argparse.Namespace) -> str:
    """Who else can reach the broker that ``open_page`` starts; empty if nobody can, or if it starts none."""
    if chosen.broker is not None or chosen.host in options.LOCAL_HOSTS:
        return ""
    return (
        "without accounts, everybody in this network can read and change this room; "
        "--host 127.0.0.1 keeps it on this machine, --broker URL uses a broker with accounts"
    )


def link_text(link: str) -> str:
    """The link, with its QR code if the package ``segno`` is installed."""
    try:
        with needed("segno"):
            import segno
    except PyraftError:
        return f"seats in browser tabs: {link}"
    drawn = io.StringIO()
    segno.make(link, error="m").terminal(out=drawn, compact=True)
    return f"{drawn.getvalue()}\nseats in browser tabs: {link}"


async def remove_the_gone(remote: Remote) -> None:
    """Remove seats whose tabs have closed from the membership, until cancelled; their numbers never come back."""
    missing: dict[NodeId, float] = {}
    loop = asyncio.get_running_loop()
    while True:
        here, now = gone(remote), loop.time()
        missing = {node: missing.get(node, now) for node in here}
        for node in sorted(node for node, since in missing.items() if now - since > GONE):
            try:
                await remote.ask_leader(ChangeMembership(RemoveVoters(frozenset({node}))), seconds=GONE)
            except PyraftError:
                break  # no leader at present, or another change is going on: later
        await asyncio.sleep(PAUSE)


class PaceKeeper:
    """How much slower than usual a room runs: by its members, and more while leaders are lost again and again.

    One machine may carry a whole class, and a leader in a tab sends to every member in each round.
    """

    def __init__(self) -> None:
        self._extra = 1.0
        self._term: Term = 0
        self._changes: list[float] = []

    def pace(self, *, members: int, term: Term, now: float) -> float:
        """The pace for a room of ``members``, whose highest term is ``term`` at the time ``now`` in seconds."""
        usual = max(PACE, float(members))
        longest = SLOW_NETWORK.election_timeout[1] * usual * self._extra
        changed = [now] if term > self._term > 0 else []
        self._term = max(term, self._term)
        self._changes = [*(one for one in self._changes if now - one < CALM * longest), *changed]
        if len(self._changes) >= UNREST:
            self._changes, self._extra = [], self._extra * 1.5
        return min(usual * self._extra, SLOWEST)


async def keep_pace(remote: Remote, commands: TeacherCommands) -> None:
    """Adapt the room's pace until the teacher sets one, or until cancelled."""
    keeper, loop = PaceKeeper(), asyncio.get_running_loop()
    while commands.adapts_pace:
        members = {node for now in remote.metrics.values() for node in now.membership.nodes}
        term = max((now.term for now in remote.metrics.values()), default=0)
        commands.adapt_pace(keeper.pace(members=len(members), term=term, now=loop.time()))
        await asyncio.sleep(PAUSE)


def gone(remote: Remote) -> list[NodeId]:
    """The members that were taken by a learner, and of which nothing is heard; none while nobody leads."""
    leader = leader_of(remote.metrics)
    if leader is None:
        return []
    members = remote.metrics[leader].committed_membership.nodes
    return sorted(node for node in members if node in remote.players and node not in remote.metrics)
