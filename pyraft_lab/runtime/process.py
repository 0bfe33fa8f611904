"""A node in a process of its own: durable, and serving clients over the broker until it is stopped."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

from msgspec import Struct

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import AlreadyInitialized, Fatal
from pyraft_lab.network.address import Certificates
from pyraft_lab.network.fault_control import follow_fault_control
from pyraft_lab.network.faults import Faults
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.recorder import Observer
from pyraft_lab.runtime.room import Room, SeatPlayer, slowed, watch_room
from pyraft_lab.runtime.rpc_server import serve_rpc
from pyraft_lab.runtime.trace_stream import Publisher
from pyraft_lab.storage.base import Storage
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.storage.sqlite import SqliteStorage

log = logging.getLogger(__name__)


SLOW_NETWORK = Config(election_timeout=(0.3, 0.6), heartbeat_interval=0.06)
"""Longer timeouts for slow networks and busy machines."""


class NodeOptions(Struct, frozen=True, kw_only=True):
    """The options of a node's process: its id, the broker, its disk, and the first voters."""

    id: NodeId
    broker: str
    cluster: str = "demo"
    data: Path | None = None
    """The directory of its disk; ``None`` keeps everything in memory, lost when the process ends."""
    initial_voters: Sequence[NodeId] = ()
    """The voters of a new cluster; ignored if the node already knows a cluster."""
    certificates: Certificates | None = None
    accepts_faults: bool = False
    """Whether its links accept fault control (:mod:`pyraft_lab.network.fault_control`)."""
    timeout: float = 5.0
    """Seconds that the broker may take to answer."""
    traced: bool = True
    """Whether it publishes its trace while a follower is there."""
    config: Config = SLOW_NETWORK


async def serve(
    options: NodeOptions, stop: asyncio.Event, *, observers: Sequence[Observer] = (), player: SeatPlayer | None = None
) -> None:
    """Run the node until ``stop`` is set; raises the error that ended it earlier. A ``player`` may decide by hand."""
    network = MqttNetwork(
        options.broker, cluster=options.cluster, certificates=options.certificates, timeout=options.timeout
    )
    faults = Faults(network)
    async with AsyncExitStack() as stack:
        if options.accepts_faults:
            await stack.enter_async_context(follow_fault_control(network, faults, node=options.id))
        publisher = Publisher(options.id, network)
        raft = Raft(
            options.id,
            config=options.config,
            network=faults if player is None else player.wrap_network(faults),
            storage=_disk(options.data),
            cluster=options.cluster,
            rules=RAFT if player is None else player.rules,
            observers=[*observers, *_observing(options, publisher, player)],
        )
        await raft.start()
        stack.push_async_callback(raft.shutdown)
        log.info("node %s of %s is up at %s", options.id, options.cluster, network.address)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [group.create_task(serve_rpc(raft, network))]
        tasks += [group.create_task(publisher.run())] if options.traced else []
        tasks += [group.create_task(player.play(raft))] if player is not None else []
        if options.accepts_faults:
            await stack.enter_async_context(watch_room(network, partial(_arrange, raft, options.config, player)))
        if options.initial_voters:
            with suppress(AlreadyInitialized):
                await raft.initialize(options.initial_voters)
        await _until_over(raft, stop)
        for task in tasks:
            task.cancel()
    log.info("node %s has stopped", options.id)


def _observing(options: NodeOptions, publisher: Publisher, player: SeatPlayer | None) -> list[Observer]:
    told: list[tuple[Observer | None, bool]] = [(publisher, options.traced), (player, True)]
    return [observer for observer, wanted in told if observer is not None and wanted]


def _arrange(raft: Raft, usual: Config, player: SeatPlayer | None, room: Room) -> None:
    """Apply the teacher's room settings to this node."""
    with suppress(Fatal):  # a node that has just stopped needs none
        raft.runtime.configure(lambda now: slowed(now, usual, room.pace))
    if player is not None:
        player.on_room(room)


async def _until_over(raft: Raft, stop: asyncio.Event) -> None:
    """Wait for ``stop``, or raise the error that ended the node."""
    stopping = asyncio.create_task(stop.wait())
    ending = asyncio.create_task(raft.wait().until(lambda _: False))
    try:
        await asyncio.wait([stopping, ending], return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            ending.result()
    finally:
        stopping.cancel()
        ending.cancel()


def _disk(data: Path | None) -> Storage:
    return MemoryStorage() if data is None else SqliteStorage(data)
