"""Conformance tests for your own network: one case for every guarantee that nodes rely on.

In a script or a notebook::

    def fresh():
        hub = MyHub()
        return lambda: MyNetwork(hub)

    print(await run(fresh))

In pytest, one test for each case::

    @pytest.mark.parametrize("case", CASES, ids=name_of)
    async def test_my_network(case: Case) -> None:
        await check(case, fresh)

The argument makes a new, unused wire and returns a function. Each call of that function returns a network on this wire,
as every node makes one in its own process. There is no guarantee for a single message: it may be lost, late, duplicated
or overtaken. So cases send a message again until it arrives, as Raft does.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from pyraft_lab import conformance
from pyraft_lab.conformance import Report, name_of, result_of
from pyraft_lab.engine.log import Configuration, Entry, Noop, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Addresses, Membership
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    Outdated,
    PreVoteRequest,
    PreVoteResponse,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.types import LogId, NodeId, Vote
from pyraft_lab.errors import DuplicateNode
from pyraft_lab.loop_thread import LoopThread
from pyraft_lab.network.base import Endpoint, Network, Notice
from pyraft_lab.network.codec import Envelope

__all__ = ["CASES", "Case", "Report", "check", "name_of", "run"]
MakeNetwork = Callable[[], Network]
"""Makes a network on one and the same wire at every call (or returns a shared one)."""
Fresh = Callable[[], MakeNetwork]
"""Makes a new, unused wire."""
AGAIN = 0.02
"""Seconds after which a message that has not arrived is sent again."""
LIMIT = 30.0
"""Seconds after which an unfinished case has failed."""


class Inbox:
    """A mailbox that keeps everything, and notes whether it was called on its own loop."""

    def __init__(self) -> None:
        self.arrived: list[tuple[NodeId, Envelope]] = []
        self.is_home = True
        self._home = asyncio.get_running_loop()

    def receive(self, src: NodeId, envelopes: Sequence[Envelope]) -> None:
        """Keep the messages."""
        try:
            self.is_home = self.is_home and asyncio.get_running_loop() is self._home
        except RuntimeError:
            self.is_home = False
        self.arrived += [(src, envelope) for envelope in envelopes]

    def notice(self, notice: Notice) -> None:
        """Ignore the notice: notices are never needed."""


class NetworkTrial:
    """A wire under test, and the nodes that joined it."""

    def __init__(self, fresh: Fresh) -> None:
        self.make_network = fresh()
        self._networks: list[Network] = []
        self._ends: list[Endpoint] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let all nodes leave."""
        for end in self._ends:
            await end.close()
        for network in self._networks:
            await network.close()

    async def join(self, node: NodeId) -> tuple[Endpoint, Inbox]:
        """Join a node; its endpoint and its inbox."""
        network, post = self.make_network(), Inbox()
        if all(network is not known for known in self._networks):
            self._networks.append(network)
        self._ends.append(end := await network.join(node, post))
        return end, post

    async def arrives(self, end: Endpoint, dst: NodeId, envelope: Envelope, post: Inbox) -> NodeId:
        """Send a message until it arrives; returns the sender that the receiver saw."""
        while True:
            end.send(dst, envelope)
            await asyncio.sleep(AGAIN)
            for src, found in post.arrived:
                if found.id == envelope.id:
                    assert found == envelope, f"sent {envelope}, but {found} arrived"
                    return src


VOTE, LAST = Vote(3, 1, committed=True), LogId(2, 1, 7)
HERE = Membership(configs=(frozenset({1}),), nodes=Addresses({1: "somewhere"}))
BYTES = bytes(range(256))
META = SnapshotMeta(last=LAST, membership=HERE, membership_id=LogId(1, 1, 1), size=9 + len(BYTES), checksum=1 << 31)
ENTRIES = (
    Entry(LogId(3, 1, 8), Noop()),
    Entry(LogId(3, 1, 9), Normal(BYTES)),
    Entry(LogId(3, 1, 10), Configuration(HERE)),
)
MESSAGES: tuple[AnyMessage, ...] = (
    PreVoteRequest(vote=VOTE, last=LAST),
    PreVoteResponse(vote=VOTE, asked=Vote(4, 2), granted=True, last=LAST),
    VoteRequest(vote=VOTE, last=LAST, transfer=True),
    VoteResponse(vote=VOTE, asked=Vote(4, 2), granted=False, last=LAST),
    AppendRequest(vote=VOTE, prev=LAST, entries=ENTRIES, commit=7, round=5),
    AppendAccepted(vote=VOTE, matched=LAST, round=5),
    AppendRefused(vote=VOTE, prev=LAST, hint=LogId(1, 1, 3), round=5),
    HeartbeatRequest(vote=VOTE, matched=LAST, commit=7, round=5),
    HeartbeatResponse(vote=VOTE, round=5),
    SnapshotRequest(vote=VOTE, meta=META, offset=9, data=BYTES, done=True, round=5),
    SnapshotResponse(vote=VOTE, last=LAST, offset=9, round=5),
    TimeoutNow(vote=VOTE),
    Outdated(vote=VOTE),
)
"""One message of each kind."""


def short(id: int) -> Envelope:
    """A small message."""
    return Envelope(id, id + 1000, HeartbeatResponse(vote=VOTE, round=id))


async def every_kind_of_message_arrives_as_it_was_sent(trial: NetworkTrial) -> None:
    """Messages arrive unchanged: a changed vote or entry would break every proof of Raft."""
    (one, _), (_, post) = await trial.join(1), await trial.join(2)
    for id, message in enumerate(MESSAGES, 1):
        assert await trial.arrives(one, 2, Envelope(id, id + 1000, message), post) == 1, "the sender is wrong"


async def messages_go_both_ways(trial: NetworkTrial) -> None:
    """Messages go in both directions: every request needs its answer."""
    (one, first), (two, second) = await trial.join(1), await trial.join(2)
    assert await trial.arrives(one, 2, short(1), second) == 1
    assert await trial.arrives(two, 1, short(2), first) == 2


async def no_node_gets_a_message_for_another(trial: NetworkTrial) -> None:
    """No node receives messages to another: it would count the answer as its own."""
    (one, first), (_, second), (_, third) = await trial.join(1), await trial.join(2), await trial.join(3)
    await trial.arrives(one, 2, short(1), second)
    await trial.arrives(one, 3, short(2), third)
    assert {envelope.id for _, envelope in second.arrived} == {1}, "2 received messages to others"
    assert {envelope.id for _, envelope in third.arrived} == {2}, "3 received messages to others"
    assert not first.arrived, "the sender received its own message"


async def nothing_is_delivered_while_it_is_being_sent(trial: NetworkTrial) -> None:
    """Nothing is delivered inside ``send``: its effects must not reach a node in the middle of its own turn."""
    (one, _), (_, post) = await trial.join(1), await trial.join(2)
    one.send(2, short(1))
    assert not post.arrived, "it was delivered inside send"
    await trial.arrives(one, 2, short(2), post)


async def messages_are_delivered_on_the_loop_of_their_receiver(trial: NetworkTrial) -> None:
    """Messages are delivered on the receiver's own loop: a node has no locks."""
    one, _ = await trial.join(1)
    with LoopThread("the other node's") as thread:
        there = NetworkTrial(lambda: trial.make_network)
        _, post = await thread.home.run(there.join(2))
        await trial.arrives(one, 2, short(1), post)
        assert post.is_home, "it was delivered on another loop"
        await thread.home.run(there.close())


async def a_message_to_a_missing_node_is_no_error(trial: NetworkTrial) -> None:
    """A message to a missing node is no error: peers come and go while a leader sends to them."""
    (one, _), (_, post) = await trial.join(1), await trial.join(2)
    one.send(7, short(1))
    await trial.arrives(one, 2, short(2), post)


async def a_node_that_left_may_still_send_without_effect(trial: NetworkTrial) -> None:
    """A node that left may still send; nothing arrives."""
    (one, _), (two, post), (three, _) = await trial.join(1), await trial.join(2), await trial.join(3)
    await trial.arrives(one, 2, short(1), post)
    await one.close()
    one.send(2, short(2))
    await trial.arrives(three, 2, short(3), post)
    assert {envelope.id for _, envelope in post.arrived} == {1, 3}
    await two.close()


async def a_node_that_left_receives_nothing(trial: NetworkTrial) -> None:
    """A node that left receives nothing: a stopped node must not vote."""
    (one, _), (two, post) = await trial.join(1), await trial.join(2)
    await trial.arrives(one, 2, short(1), post)
    await two.close()
    count = len(post.arrived)
    _, again = await trial.join(2)
    await trial.arrives(one, 2, short(2), again)
    assert len(post.arrived) == count, "the mailbox of the earlier run received a message"


async def leaving_twice_is_no_error(trial: NetworkTrial) -> None:
    """Leaving twice is no error: cleanup code may run twice."""
    one, _ = await trial.join(1)
    await one.close()
    await one.close()


async def a_node_is_there_once(trial: NetworkTrial) -> None:
    """A node joins once: two processes with one id would vote twice in a term; the first one stays."""
    (_, first), (two, _) = await trial.join(1), await trial.join(2)
    try:
        await trial.join(1)
    except DuplicateNode:
        refused = True
    else:
        refused = False
    assert refused, "a second node with the same id could join"
    await trial.arrives(two, 1, short(1), first)


async def a_node_may_return(trial: NetworkTrial) -> None:
    """A node that left may join again: it is the same node after a restart."""
    two, _ = await trial.join(2)
    for life in range(1, 4):
        one, post = await trial.join(1)
        await trial.arrives(two, 1, short(life), post)
        await one.close()


async def a_large_message_arrives(trial: NetworkTrial) -> None:
    """A large message arrives: a leader sends up to ``Config.max_append_bytes``, and a larger command alone."""
    (one, _), (_, post) = await trial.join(1), await trial.join(2)
    entry = Entry(LogId(3, 1, 8), Normal(bytes(1 << 20)))
    await trial.arrives(one, 2, Envelope(1, 0, AppendRequest(vote=VOTE, prev=LAST, entries=(entry,))), post)


async def a_flood_of_messages_breaks_nothing(trial: NetworkTrial) -> None:
    """A flood of messages breaks nothing: some may get lost, but the wire works afterwards."""
    (one, _), (_, post) = await trial.join(1), await trial.join(2)
    for id in range(10_000):
        one.send(2, short(id))
    await trial.arrives(one, 2, short(10_000), post)
    assert all(envelope == short(envelope.id) for _, envelope in post.arrived), "a message has changed on its way"


async def messages_are_counted(trial: NetworkTrial) -> None:
    """Messages are counted, for operators."""
    (one, _), (two, post) = await trial.join(1), await trial.join(2)
    await trial.arrives(one, 2, short(1), post)
    assert one.counters.sent >= 1, "the sender counted nothing"
    assert two.counters.received >= 1, "the receiver counted nothing"


Case = conformance.Case[NetworkTrial]
"""One guarantee of a network, as a coroutine function."""
CASES: tuple[Case, ...] = (
    every_kind_of_message_arrives_as_it_was_sent,
    messages_go_both_ways,
    no_node_gets_a_message_for_another,
    nothing_is_delivered_while_it_is_being_sent,
    messages_are_delivered_on_the_loop_of_their_receiver,
    a_message_to_a_missing_node_is_no_error,
    a_node_that_left_may_still_send_without_effect,
    a_node_that_left_receives_nothing,
    leaving_twice_is_no_error,
    a_node_is_there_once,
    a_node_may_return,
    a_large_message_arrives,
    a_flood_of_messages_breaks_nothing,
    messages_are_counted,
)
"""Every guarantee of a network."""


async def run(fresh: Fresh, cases: Sequence[Case] = CASES, *, limit: float = LIMIT) -> Report:
    """Run the cases one by one, each on a new wire; a case that takes ``limit`` seconds has failed.

    >>> from pyraft_lab.network.base import MemoryNetwork
    >>> def fresh():
    ...     hub = MemoryNetwork()
    ...     return lambda: hub
    >>> asyncio.run(run(fresh)).ok
    True
    """
    return Report(tuple([await result_of(case, check(case, fresh, limit=limit)) for case in cases]))


async def check(case: Case, fresh: Fresh, *, limit: float = LIMIT) -> None:
    """Run one case; raises its error, ``AssertionError`` for a broken guarantee."""
    async with asyncio.timeout(limit), NetworkTrial(fresh) as trial:
        await case(trial)
