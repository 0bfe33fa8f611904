"""What a teacher starts for seats in browser tabs: a broker with WebSockets, the page, and its one link."""

import argparse
import asyncio
import io
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from pyraft_lab.classroom.seat import remove_change
from pyraft_lab.classroom.web import SeatPage
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.extras import needed
from pyraft_lab.network import broker as brokers
from pyraft_lab.network.address import Address
from pyraft_lab.runtime.metrics import leader_of
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.terminal import options
from pyraft_lab.terminal.watch import PAUSE

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
        if left := frozenset(node for node, since in missing.items() if now - since > GONE):
            with suppress(PyraftError):  # no leader at present, or another change is going on: later
                await remote.ask_leader(remove_change(left), seconds=GONE)
        await asyncio.sleep(PAUSE)


def gone(remote: Remote) -> list[NodeId]:
    """The members that were taken by a learner, and of which nothing is heard; none while nobody leads."""
    leader = leader_of(remote.metrics)
    if leader is None:
        return []
    members = remote.metrics[leader].committed_membership.nodes
    return sorted(node for node in members if node in remote.players and node not in remote.metrics)
