"""A live node played by hand: what asks something waits for an answer, the cluster goes on meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec import structs

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.messages import HeartbeatResponse, VoteResponse
from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises.player import OpenQuestion, Player
from pyraft_lab.network.base import MemoryNetwork
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.room import Room, slowed
from pyraft_lab.trace.record import Record

BY_ORDER = Config(
    enable_heartbeat=False,
    enable_elect=False,
    pre_vote=False,
    vote_lease=False,
    check_quorum=False,
    retry_timeout=30,
    retry_limit=30,
)
"""Nobody stands for election by itself, and nothing is sent twice."""


class Class:
    """Three nodes of one process, of which node 2 has a player."""

    def __init__(self, player: Player, nodes: dict[int, Raft], seen: list[Record]) -> None:
        self.player, self.nodes, self.seen = player, nodes, seen

    @property
    def answers(self) -> list[VoteResponse]:
        """The votes that the player's node gave and refused."""
        flights = (flight for record in self.seen for flight in record.sent)
        return [flight.message for flight in flights if isinstance(flight.message, VoteResponse)]

    @property
    def beats_answered(self) -> int:
        """How many heartbeats the player's node has answered."""
        return sum(isinstance(flight.message, HeartbeatResponse) for record in self.seen for flight in record.sent)

    async def asked(self, about: str) -> OpenQuestion:
        """The question of that kind, as soon as it is there; those before it are answered as Raft does."""
        while True:
            found = self.player.asked
            if found is not None and found.question.about == about:
                return found
            if found is not None:
                await self.player.answer(min(found.question.right))
            await asyncio.sleep(0.001)

    async def answer_right_until_it_has(self, index: int) -> None:
        """Answer as Raft does until the log of the player's node reaches so far."""
        while self.nodes[2].metrics.last_log.index < index:
            if self.player.asked is not None:
                await self.player.answer(min(self.player.asked.question.right))
            await asyncio.sleep(0.001)


@asynccontextmanager
async def classroom(player: Player, config: Config = BY_ORDER) -> AsyncIterator[Class]:
    network, nodes, seen = MemoryNetwork(), dict[int, Raft](), list[Record]()
    for node in (1, 2, 3):
        wires = player.wrap_network(network) if node == 2 else network
        rules = {"rules": player.rules, "observers": [player, seen.append]} if node == 2 else {}
        nodes[node] = Raft(node, network=wires, config=config, **rules)  # type: ignore[arg-type]
        await nodes[node].start()
    playing = asyncio.create_task(player.play(nodes[2]))
    try:
        async with asyncio.timeout(30):
            yield Class(player, nodes, seen)
    finally:
        playing.cancel()
        for raft in nodes.values():
            await raft.shutdown()


async def founded(room: Class) -> None:
    """Node 1 leads, and node 2 has a vote; from now on its player decides."""
    await room.nodes[1].initialize({1, 2, 3})
    await room.nodes[1].wait(20).role("leader")
    await room.nodes[2].wait(20).voters({1, 2, 3})
    await room.nodes[3].wait(20).log(2)
    room.player.by_hand = True


async def challenged(room: Class) -> None:
    """Node 3 stands for election, and wins it by the vote of node 1."""
    await founded(room)
    room.nodes[3].trigger.elect()
    await room.nodes[3].wait(20).role("leader")


async def test_the_others_go_on_while_a_player_thinks() -> None:
    async with classroom(Player()) as room:
        await challenged(room)
        await room.nodes[3].client_write({"op": "put", "key": "x", "value": 1})
        assert (await room.asked("vote")).question.right == {"grant"}
        assert room.nodes[2].metrics.term == 1


async def test_an_answer_lets_the_message_through_and_is_marked() -> None:
    async with classroom(Player()) as room:
        await challenged(room)
        await room.asked("vote")
        mark = await room.player.answer("grant")
        assert mark is not None
        assert (mark.right, mark.rule.label) == (True, "vote granted")
        await room.nodes[2].wait(20).until(lambda now: now.vote.node == 3)
        assert room.player.marks == [mark]
        assert room.player.playing.right == 1


async def test_a_wrong_answer_is_marked_and_corrected() -> None:
    async with classroom(Player()) as room:
        await challenged(room)
        await room.asked("vote")
        mark = await room.player.answer("log")
        assert mark is not None
        assert (mark.right, mark.done) == (False, False)
        await room.nodes[2].wait(20).until(lambda now: now.vote.node == 3)


async def test_where_the_teacher_lets_answers_count_a_vote_is_refused_for_real() -> None:
    async with classroom(Player()) as room:
        await challenged(room)
        room.player.on_room(Room(for_real=True))
        await room.asked("vote")
        mark = await room.player.answer("log")
        assert mark is not None
        assert (mark.right, mark.done) == (False, True)
        await room.nodes[2].wait(20).until(lambda now: now.term == 2)
        assert [answer.granted for answer in room.answers if answer.asked.term == 2] == [False]


async def test_an_answer_counts_for_its_message_and_not_for_all_that_its_leader_sends_later() -> None:
    async with classroom(Player(), structs.replace(BY_ORDER, retry_timeout=0.01, retry_limit=0.01)) as room:
        await founded(room)
        room.player.on_room(Room(for_real=True))
        await room.nodes[1].client_write({"op": "put", "key": "x", "value": 0})
        await room.asked("append")
        mark = await room.player.answer("outdated")
        assert mark is not None
        assert (mark.right, mark.done) == (False, True)
        await room.answer_right_until_it_has(3)


async def test_what_is_known_passes_without_a_question() -> None:
    async with classroom(Player(known=1)) as room:
        await founded(room)
        await room.nodes[1].client_write({"op": "put", "key": "x", "value": 0})
        await room.answer_right_until_it_has(3)
        asked = len(room.player.marks)
        for value in range(20):
            await room.nodes[1].client_write({"op": "put", "key": "x", "value": value})
        await room.nodes[2].wait(20).log(23)
        assert len(room.player.marks) == asked
        assert room.player.marks[-1].rule.label == "entries appended"


async def test_a_node_is_taken_in_before_its_player_is_asked_about_entries() -> None:
    async with classroom(Player(by_hand=True)) as room:
        await room.nodes[1].initialize({1, 2, 3})
        await room.nodes[2].wait(20).log(2)
        await room.nodes[1].client_write({"op": "put", "key": "x", "value": 0})
        assert (await room.asked("append")).question.right == {"append"}


async def test_a_player_that_stops_lets_everything_pass() -> None:
    async with classroom(Player()) as room:
        await challenged(room)
        await room.asked("vote")
        room.player.by_hand = False
        await room.nodes[2].wait(20).applied(room.nodes[3].metrics.last_log.index)
        assert room.player.asked is None


async def test_a_teacher_may_hand_a_node_over() -> None:
    async with classroom(Player()) as room:
        await founded(room)
        room.player.by_hand = False
        room.player.on_room(Room(by_hand=frozenset({2})))
        room.nodes[3].trigger.elect()
        await room.asked("vote")
        assert room.player.by_hand


async def test_silence_asks_its_player_to_stand() -> None:
    async with classroom(Player(), Config(pre_vote=False)) as room:
        await founded(room)
        for node in (1, 3):
            await room.nodes[node].shutdown()
        before = room.nodes[2].metrics.term
        await room.asked("silence")
        await room.player.answer("stand")
        await room.nodes[2].wait(20).until(lambda now: now.term > before)


async def test_only_what_is_asked_can_be_answered() -> None:
    async with classroom(Player()) as room:
        with pytest.raises(PyraftError, match="nothing to decide"):
            await room.player.answer("grant")


async def test_a_slow_room_and_a_hand_do_not_forget_each_other() -> None:
    async with classroom(Player()) as room:
        raft = room.nodes[2]
        await founded(room)
        raft.runtime.configure(lambda now: slowed(now, BY_ORDER, 20))
        room.player.on_room(Room(by_hand=frozenset({2}), pace=20))
        while (settings := await raft.with_state(lambda state: state.config)).enable_elect:  # noqa: ASYNC110 (settings tell nobody that they change)
            await asyncio.sleep(0.001)
        assert settings.election_timeout == slowed(BY_ORDER, BY_ORDER, 20).election_timeout


async def test_a_thinking_player_does_not_make_its_node_deaf() -> None:
    often = Config(retry_timeout=0.001, retry_limit=0.001, heartbeat_interval=0.01, election_timeout=(5, 9))
    async with classroom(Player(), often) as room:
        await founded(room)
        await room.nodes[1].client_write({"op": "put", "key": "x", "value": 0})
        await room.asked("append")
        heard = room.beats_answered
        while room.beats_answered < heard + 9:  # noqa: ASYNC110 (what is sent is only told)
            await asyncio.sleep(0.01)
        assert len(room.player.inbox) <= 3
