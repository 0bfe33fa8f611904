"""A node in a room: join with a new id, get a vote, and leave the membership before the end."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.membership import AddLearners, AddVoters, Batch, Change, RemoveLearners, RemoveVoters
from pyraft_lab.engine.types import ORIGIN, LogId, NodeId
from pyraft_lab.errors import DuplicateNode, NetworkFailed, PyraftError, Timeout
from pyraft_lab.network.address import Address, Certificates
from pyraft_lab.runtime.metrics import Metrics, has_caught_up, leader_of
from pyraft_lab.runtime.process import NodeOptions, serve
from pyraft_lab.runtime.recorder import Observer
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import Playing, SeatPlayer
from pyraft_lab.runtime.rpc import ChangeMembership

log = logging.getLogger(__name__)
ECHO_TIMEOUT = 10.0
"""Seconds that a message to the room may take to come back; a class that joins at once keeps its broker busy."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 3.0
"""Seconds before a refused membership change is asked for again: a random time, longer after each refusal."""
TURN = 1.0
"""Seconds that each of the waiting nodes leaves the asking to those before it, counted from the last change."""
ANSWER_TIMEOUT = 3.0
"""Seconds in which a player who is there before all nodes answers one who comes."""
LEAVE_TIMEOUT = 10.0
"""Seconds in which a node tries to leave the membership; others may be leaving at the same moment."""


class RoomAddress(Struct, frozen=True, kw_only=True):
    """Where a room meets: broker, name of its cluster, and the certificates for TLS."""

    broker: str
    cluster: str
    certificates: Certificates | None = None
    timeout: float = 5.0
    """Seconds that the broker may take to answer."""

    @property
    def account(self) -> str | None:
        """The account at the broker; ``None`` without one."""
        return Address.parse(self.broker).username


class SeatRefused(PyraftError):
    """The broker does not let this account join the room."""

    def __init__(self, place: RoomAddress, why: str) -> None:
        self.account = place.account
        super().__init__(
            f"account {place.account} may not join room {place.cluster}: {why}; use the account of a "
            f"learner or teacher (pyraft-lab broker --cluster {place.cluster} --learners NAME)"
        )


class RemovedFromRoom(PyraftError):
    """A teacher or a member has removed this node from the room."""

    def __init__(self, place: RoomAddress, me: NodeId) -> None:
        self.node = me
        super().__init__(f"node {me} was removed from room {place.cluster}; to join it again: pyraft-lab join")


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
    """Stay in a room until ``stop``: the first node initializes it, others are added; ``told`` receives the node's id.

    The id is a new one, because this disk is empty: a node with an old id would have forgotten its votes.
    """
    place_in_line = 0
    while not stop.is_set():
        here = {node for now in remote.metrics.values() for node in (now.id, *now.membership.nodes)}
        me = max((*here, *remote.players), default=0) + max(place_in_line, 1)
        seat = NodeOptions(
            id=me,
            broker=place.broker,
            cluster=place.cluster,
            data=None if disk is None else disk / str(me),
            initial_voters=() if here or place_in_line else (me,),
            certificates=place.certificates,
            timeout=place.timeout,
            accepts_faults=True,
        )
        remote.publish_playing(me, Playing(by_hand=False))
        place_in_line = await _be_heard(place, remote, me)
        if place_in_line:
            log.info("another node took seat %s at the same moment", me)
            continue  # two nodes with one number would be one node that loses its log; a class chooses again in order
        told(me)
        try:
            async with _answering(remote, me):
                if seat.initial_voters and not await _is_first(remote, me):
                    seat = replace(seat, initial_voters=())
                is_second = await _sit(seat, remote, stop, player, observers)
            if not (stop.is_set() or is_second):
                raise RemovedFromRoom(place, me)
        except* DuplicateNode:
            log.info("another node took seat %s at the same moment", me)
        except* NetworkFailed as failed:
            if place.account is None or not remote.is_connected:
                raise
            raise SeatRefused(place, f"it may not send as node {me}") from failed


async def _be_heard(place: RoomAddress, remote: Remote, me: NodeId) -> int:
    """How many others chose this number before. The node must be heard, or it would initialize a second room."""
    within = max(ECHO_TIMEOUT, place.timeout)
    try:
        async with asyncio.timeout(within):
            await remote.until(lambda: remote.place_of_player(me) is not None)
    except TimeoutError:
        if place.account is None:
            raise Timeout(f"an echo of room {place.cluster}", within) from None
        raise SeatRefused(place, "it receives nothing from it") from None
    return remote.place_of_player(me) or 0


async def _is_first(remote: Remote, me: NodeId) -> bool:
    """Whether this player is to initialize the room: of those who come before any node is up, the first one is.

    Players of an earlier lesson may have left reports, so one who came before must answer to be believed.
    """
    if not remote.players_before(me):
        return not remote.metrics
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await remote.until(lambda: bool(remote.metrics or remote.players_before(me, answered=True)))
    except TimeoutError:
        return True
    return False


@asynccontextmanager
async def _answering(remote: Remote, me: NodeId) -> AsyncIterator[None]:
    """Inside, players who come before this node is up get an answer: another report of its player."""
    task = asyncio.create_task(_answer(remote, me))
    try:
        yield
    finally:
        task.cancel()


async def _answer(remote: Remote, me: NodeId) -> None:
    known = len(remote.players_before(me)) + 1
    with suppress(PyraftError):  # the connection is closed
        while me not in remote.metrics:
            if len(remote.players) > known:
                known = len(remote.players)
                remote.publish_playing(me, remote.players[me])
            await remote.until_changed()


def _is_second_room(remote: Remote, me: NodeId) -> bool:
    """Whether this node is a room of its own, beside another one in which newcomers are taken in."""
    leader, own = leader_of(remote.metrics), remote.metrics.get(me)
    if leader in {None, me} or own is None or own.membership.nodes.keys() != {me}:
        return False
    return me not in remote.metrics[leader].membership.nodes


async def _sit(
    seat: NodeOptions, remote: Remote, stop: asyncio.Event, player: SeatPlayer | None, observers: Sequence[Observer]
) -> bool:
    """Serve the node until it leaves; whether it does so because it was alone in a second room."""
    leaving = asyncio.Event()
    is_second = False

    async def leave_second_room() -> None:
        nonlocal is_second
        await remote.until(lambda: _is_second_room(remote, seat.id))
        log.info("another node initialized the room at the same moment")
        is_second = True
        leaving.set()

    async with asyncio.TaskGroup() as group:
        sitting = group.create_task(serve(seat, leaving, observers=observers, player=player))
        others = [group.create_task(_leave_membership(remote, seat.id, stop, leaving))]
        others.append(group.create_task(_leave_when_taken_out(remote, seat.id, leaving)))
        if seat.initial_voters:
            others.append(group.create_task(leave_second_room()))
        else:
            others.append(group.create_task(_be_taken_in(remote, seat.id, stop)))
        sitting.add_done_callback(lambda _: [task.cancel() for task in others])
    return is_second


class Newcomers:
    """The nodes that wait to become voters, as far as this seat has seen; the first of them asks for all.

    A change at a time is possible, and all nodes tell everybody of each: a class that came in one by one would send
    the cube of its size in messages. A node that comes has an empty log. A learner that was a voter does not wait.
    """

    def __init__(self, remote: Remote, me: NodeId) -> None:
        self._remote, self._me = remote, me
        self._new = {me}
        self._seen: tuple[NodeId | None, LogId] = (None, ORIGIN)
        self._since = 0.0

    def change(self, *, now: float) -> ChangeMembership | None:
        """What this node should ask the leader for at this moment, in seconds; ``None`` if it should wait."""
        leader = leader_of(self._remote.metrics)
        if leader is None:
            return None
        lead = self._remote.metrics[leader]
        if self._seen != (leader, lead.membership_id):
            self._seen, self._since = (leader, lead.membership_id), now
        empty = {node for node, its in self._remote.metrics.items() if not its.membership.nodes}
        self._new = (
            (self._new | empty) & self._remote.metrics.keys() & self._remote.players.keys()
        ) - lead.membership.voters
        place = sum(node < self._me for node in self._new)
        if lead.membership != lead.committed_membership or lead.membership.is_joint or now - self._since < place * TURN:
            return None
        return self._admission(lead)

    def _admission(self, lead: Metrics) -> ChangeMembership | None:
        """New nodes become learners, and learners that have the log become voters."""
        outside = frozenset(self._new - lead.membership.nodes.keys())
        ready = frozenset(node for node in self._new - outside if has_caught_up(lead, node, Config().learner_lag))
        changes: list[Change] = [AddLearners(outside)] if outside else []
        changes += [AddVoters(ready)] if ready else []
        return ChangeMembership(Batch(tuple(changes))) if changes else None


async def _be_taken_in(remote: Remote, me: NodeId, stop: asyncio.Event) -> None:
    """Become a learner, then a voter, together with all who wait."""
    await remote.until(lambda: me in remote.metrics)
    waiting, loop = Newcomers(remote, me), asyncio.get_running_loop()
    while not (has_vote(remote, me) or stop.is_set()):
        question = waiting.change(now=loop.time())
        if question is not None:
            try:
                await remote.ask_leader(question, seconds=10.0)
            except PyraftError as failed:
                log.info("%s; trying again", failed)
        await asyncio.sleep(random.uniform(SHORTEST_PAUSE, 2 * SHORTEST_PAUSE))


def has_vote(remote: Remote, node: NodeId) -> bool:
    """Whether the node is a voter of a uniform, committed membership."""
    leader = leader_of(remote.metrics)
    if leader is None:
        return False
    membership = remote.metrics[leader].committed_membership
    return node in membership.voters and not membership.is_joint


async def _leave_when_taken_out(remote: Remote, me: NodeId, leaving: asyncio.Event) -> None:
    """Watch what the leader says of the members: a removed node gets no message of its removal."""
    await remote.until(lambda: me in _members(remote))
    await remote.until(lambda: bool(_members(remote)) and me not in _members(remote))
    leaving.set()


def _members(remote: Remote) -> AbstractSet[NodeId]:
    """The ids of the committed members by the leader's metrics; empty without a leader."""
    leader = leader_of(remote.metrics)
    return set() if leader is None else remote.metrics[leader].committed_membership.nodes.keys()


def remove_change(nodes: frozenset[NodeId]) -> ChangeMembership:
    """The change after which these are neither voters nor learners."""
    return ChangeMembership(Batch((RemoveVoters(nodes), RemoveLearners(nodes))))


async def _leave_membership(remote: Remote, me: NodeId, stop: asyncio.Event, leaving: asyncio.Event) -> None:
    """Leave the membership before the end, unless no other voter is up."""
    await stop.wait()
    try:
        async with asyncio.timeout(LEAVE_TIMEOUT):
            await _insist(remote, remove_change(frozenset({me})), me)
    except TimeoutError:
        log.warning("left without leaving the membership: no leader has removed the node in %g s", LEAVE_TIMEOUT)
    finally:
        leaving.set()


async def _insist(remote: Remote, question: ChangeMembership, me: NodeId) -> None:
    """Ask until it is done: one change at a time is possible, and a whole class may be leaving; the last need not."""
    longest = SHORTEST_PAUSE
    while any(node != me for node in remote.metrics) and (me in _members(remote) or not _members(remote)):
        try:
            await remote.ask_leader(question, seconds=LEAVE_TIMEOUT)
        except PyraftError as failed:
            log.info("%s; trying again", failed)
            await asyncio.sleep(random.uniform(SHORTEST_PAUSE, longest))
            longest = min(2 * longest, LONGEST_PAUSE)
        else:
            return
