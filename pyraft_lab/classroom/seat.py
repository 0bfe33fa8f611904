"""A seat in a room: a number nobody ever had, taken in by those who are there, voted out before it leaves."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from msgspec import Struct

from pyraft_lab.engine.membership import AddVoters, RemoveVoters
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import DuplicateNode, NetworkFailed, PyraftError, Timeout
from pyraft_lab.network.address import Address, Certificates
from pyraft_lab.runtime.metrics import leader_of
from pyraft_lab.runtime.process import NodeOptions, serve
from pyraft_lab.runtime.recorder import Observer
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import Playing, SeatPlayer
from pyraft_lab.runtime.rpc import AddLearner, ChangeMembership

log = logging.getLogger(__name__)
ECHO_TIMEOUT = 2.0
"""Seconds in which what is told to the room comes back from it."""


class RoomAddress(Struct, frozen=True, kw_only=True):
    """Where a room is."""

    broker: str
    cluster: str
    certificates: Certificates | None = None

    @property
    def account(self) -> str | None:
        """Who one is at the broker; ``None`` for nobody in particular."""
        return Address.parse(self.broker).username


class SeatRefused(PyraftError):
    """The broker's guard does not let this account sit in the room."""

    def __init__(self, place: RoomAddress, why: str) -> None:
        self.account = place.account
        super().__init__(
            f"account {place.account} may not sit in room {place.cluster}: {why}; a seat takes the account of a "
            f"learner or teacher (pyraft-lab broker --cluster {place.cluster} --learners NAME)"
        )


class RemovedFromRoom(PyraftError):
    """Somebody took this seat's node out of the room."""

    def __init__(self, place: RoomAddress, me: NodeId) -> None:
        self.node = me
        super().__init__(f"node {me} was taken out of room {place.cluster}; to sit in it again: pyraft-lab join")


async def take_seat(
    place: RoomAddress,
    remote: Remote,
    disk: Path | None,
    stop: asyncio.Event,
    *,
    told: Callable[[NodeId], None],
    player: SeatPlayer | None = None,
    observers: Sequence[Observer] = (),
) -> None:
    """Sit in a room until ``stop``: the first to come founds it, the others are taken in; ``told`` hears the number.

    The seat is one that nobody ever had, for this disk is empty: an old number would have forgotten its votes.
    """
    while not stop.is_set():
        here = {node for now in remote.metrics.values() for node in (now.id, *now.membership.nodes)}
        me = max((*here, *remote.players), default=0) + 1
        seat = NodeOptions(
            id=me,
            broker=place.broker,
            cluster=place.cluster,
            data=None if disk is None else disk / str(me),
            initial_voters=() if here else (me,),
            certificates=place.certificates,
            accepts_faults=True,
        )
        remote.publish_playing(me, Playing(by_hand=False))
        await _be_heard(place, remote, me)
        told(me)
        try:
            await _sit(seat, remote, stop, player, observers)
            if not stop.is_set():
                raise RemovedFromRoom(place, me)
        except* DuplicateNode:
            log.info("seat %s was taken at the same moment", me)
        except* NetworkFailed as failed:
            if place.account is None or not remote.is_connected:
                raise
            raise SeatRefused(place, f"it does not speak for node {me}") from failed


async def _be_heard(place: RoomAddress, remote: Remote, me: NodeId) -> None:
    """Who hears nobody because nobody lets him would found a room of his own beside the others'."""
    try:
        async with asyncio.timeout(ECHO_TIMEOUT):
            await remote.until(lambda: me in remote.players)
    except TimeoutError:
        if place.account is None:
            raise Timeout(f"an echo of room {place.cluster}", ECHO_TIMEOUT) from None
        raise SeatRefused(place, "it hears nothing of it") from None


async def _sit(
    seat: NodeOptions, remote: Remote, stop: asyncio.Event, player: SeatPlayer | None, observers: Sequence[Observer]
) -> None:
    leaving = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        sitting = group.create_task(serve(seat, leaving, observers=observers, player=player))
        others = [group.create_task(_leave_membership(remote, seat.id, stop, leaving))]
        others.append(group.create_task(_leave_when_taken_out(remote, seat.id, leaving)))
        if not seat.initial_voters:
            others.append(group.create_task(_be_taken_in(remote, seat.id)))
        sitting.add_done_callback(lambda _: [task.cancel() for task in others])


async def _be_taken_in(remote: Remote, me: NodeId) -> None:
    """First the log, then a vote; while another one is being taken in, wait."""
    await remote.until(lambda: me in remote.metrics)
    await _insist(remote, AddLearner(me))
    await _insist(remote, ChangeMembership(AddVoters(frozenset({me}))))


async def _leave_when_taken_out(remote: Remote, me: NodeId, leaving: asyncio.Event) -> None:
    """A node that is no member any more is not told; it sees what the leader says of the members."""
    await remote.until(lambda: me in _members(remote))
    await remote.until(lambda: bool(_members(remote)) and me not in _members(remote))
    leaving.set()


def _members(remote: Remote) -> AbstractSet[NodeId]:
    """The committed members, as the leader has them; nobody where nobody leads."""
    leader = leader_of(remote.metrics)
    return set() if leader is None else remote.metrics[leader].committed_membership.nodes.keys()


async def _insist(remote: Remote, question: AddLearner | ChangeMembership) -> None:
    while True:
        try:
            await remote.ask_leader(question, seconds=10.0)
        except PyraftError as failed:
            log.info("%s; once more", failed)
            await asyncio.sleep(0.2)
        else:
            return


async def _leave_membership(remote: Remote, me: NodeId, stop: asyncio.Event, leaving: asyncio.Event) -> None:
    """Be voted out before going, unless nobody else is there to vote."""
    await stop.wait()
    try:
        if any(node != me for node in remote.metrics):
            await remote.ask_leader(ChangeMembership(RemoveVoters(frozenset({me}))), seconds=5.0)
    except PyraftError as failed:
        log.warning("left without being voted out: %s", failed)
    finally:
        leaving.set()
