"""A client finds the leader, keeps its order, asks for outcomes, renews its session, and says how a call ended."""

import msgspec
import pytest

from pyraft_lab.client.events import AttemptTimer, Failed, GiveUp, Replied, RetryTimer, SetTimer, TimerFired
from pyraft_lab.client.requests import FindOutcome, OpenSession, ReadMany, Request, WriteBatch, reply_of
from pyraft_lab.client.state import MOST_EXPIRED, Limits
from pyraft_lab.errors import (
    BadCommand,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    PyraftError,
    Timeout,
)
from pyraft_lab.session import Batched, Expired, OutOfOrder, Rejected, Value
from tests.client.world import World, attempts


def opened(**settings: object) -> World:
    """A world whose client has its session and knows the leader."""
    world = World(**settings)  # type: ignore[arg-type]
    world.settle()
    call = world.write("first")
    world.settle()
    assert world.result(call) == [1]
    return world


def messages(world: World) -> list[type]:
    return [type(ask.message) for ask in world.wire]


def test_a_client_that_has_nothing_to_do_asks_nothing() -> None:
    assert World().wire == []


def test_a_session_is_opened_by_the_first_write_and_not_by_a_read() -> None:
    world = World()
    read = world.read()
    assert messages(world) == [ReadMany]
    world.settle()
    assert world.result(read) == [0]
    world.write("a")
    assert messages(world) == [OpenSession]


def test_writes_that_wait_go_in_one_batch_under_one_serial() -> None:
    world = World()
    calls = [world.write(word) for word in "abc"]
    world.settle()
    assert [world.result(call) for call in calls] == [[1], [2], [3]]
    assert len(world.log) == 1


def test_reads_that_wait_share_one_request() -> None:
    world = World()
    world.read()
    world.write("a")
    calls = [world.read() for _ in range(50)]
    world.settle()
    assert all(world.result(call) for call in calls)
    assert sum(isinstance(ask.message, ReadMany) for ask in world.asked) == 2


def test_one_request_looks_for_the_leader_and_the_others_wait() -> None:
    world = World()
    world.leader = 2
    for _ in range(3):
        world.read()
    world.write("a")
    assert [ask.node for ask in world.wire] == [1]
    world.deliver()
    assert {ask.node for ask in world.wire} == {2}, "the hint is followed at once"


def test_a_circle_of_hints_ends_in_a_pause() -> None:
    world = World()
    call = world.write("a")
    for hint in (2, 1):
        world.happen(Failed(world.wire.pop().request, NotLeader(hint)))
    world.happen(Failed(world.wire.pop().request, NotLeader(2)))
    assert world.wire == []
    assert RetryTimer() in world.timers
    world.settle()
    assert world.result(call) == [1]


def test_pauses_grow_with_each_failure_and_begin_again_after_a_success() -> None:
    world = World(nodes=(1,))
    world.write("a")
    levels = []
    for _ in range(3):
        world.break_off()
        levels.append(world.timers[RetryTimer()].level)
        world.fire(RetryTimer())
    assert levels == [1, 2, 3]
    world.settle()
    world.write("b")
    world.break_off()
    assert world.timers[RetryTimer()].level == 1


def test_attempts_grow_with_each_silence_only_and_begin_again_after_an_answer() -> None:
    world = World(nodes=(1,))
    world.write("a")
    levels = []
    for end in ("refused", "silent", "silent", "answered"):
        (attempt,) = attempts(world)
        levels.append(world.timers[attempt].level)
        if end == "silent":
            world.fire(attempt)
        elif end == "refused":
            world.break_off()
        if end != "answered":
            world.fire(RetryTimer())
    assert levels == [-2, -2, -1, 0], "an attempt that searches for the leader is shorter"
    world.settle()
    world.write("b")
    assert [world.timers[timer].level for timer in attempts(world)] == [0]


def test_a_silent_node_is_asked_again_only_after_all_the_others() -> None:
    world = World()
    world.leader = 2
    call = world.write("a")
    assert [ask.node for ask in world.wire] == [1]
    world.fire(*attempts(world))
    world.fire(RetryTimer())
    asked = []
    for hint in (1, 1, None):
        ask = world.wire.pop()
        asked.append(ask.node)
        world.happen(Failed(ask.request, NotLeader(hint)))
        world.fire(RetryTimer())
    assert asked == [2, 3, 2], "the hint at a node that was silent is followed in the round after"
    world.settle()
    assert world.result(call) == [1]


def test_a_silent_leader_of_many_is_asked_again_before_all_the_others() -> None:
    world = World(nodes=tuple(range(1, 31)))
    world.leader = 1
    call = world.write("a")
    world.fire(*attempts(world))
    world.fire(RetryTimer())
    asked = []
    while (ask := world.wire.pop()).node != 1:
        asked.append(ask.node)
        world.happen(Failed(ask.request, NotLeader(1)))
        if RetryTimer() in world.timers:
            world.fire(RetryTimer())
    world.wire.append(ask)
    assert asked == [2, 3, 4, 5, 6, 7]
    world.settle()
    assert world.result(call) == [1]


def test_the_only_node_is_asked_again_although_it_was_silent() -> None:
    world = World(nodes=(1,))
    world.leader = 1
    call = world.write("a")
    world.fire(*attempts(world))
    world.settle()
    assert world.result(call) == [1]


def test_batches_after_a_refused_one_go_together_once_it_is_applied() -> None:
    world = opened(limits=Limits(batches=5, commands=1))
    calls = [world.write(word) for word in "abcde"]
    world.happen(Failed(world.wire.pop(0).request, NotLeader(None)))
    for _ in "bcde":
        world.deliver()  # out of order: "a" is not applied
    world.fire(RetryTimer())
    assert len(world.wire) == 1, "they wait for the first"
    world.deliver()
    assert len(world.wire) == 4, "one at a time, a client would never catch up with a steady load"
    world.settle()
    assert [world.result(call) for call in calls] == [[2], [3], [4], [5], [6]]


def test_several_batches_are_on_their_way_and_no_more_than_the_limit() -> None:
    world = opened(limits=Limits(batches=2, commands=2))
    call = world.write(*range(10))
    assert messages(world) == [WriteBatch, WriteBatch]
    world.settle()
    assert world.result(call) == list(range(2, 12))


def test_a_batch_holds_no_more_bytes_than_the_limit_and_a_larger_command_goes_alone() -> None:
    world = World(limits=Limits(bytes=30))
    calls = [world.write("a" * size) for size in (10, 10, 100, 5)]
    world.settle()
    assert [world.result(call) for call in calls] == [[1], [2], [3], [4]]
    assert len(world.log) == 3, "two together, the large one, the last"


def test_batches_that_arrive_out_of_order_are_applied_in_order() -> None:
    world = opened(limits=Limits(commands=1))
    calls = [world.write(word) for word in "abc"]
    world.deliver(2)
    world.deliver(1)
    world.settle()
    assert world.mine == ["first", "a", "b", "c"]
    assert [world.result(call) for call in calls] == [[2], [3], [4]]


def test_a_first_batch_that_is_called_out_of_order_goes_elsewhere_after_a_pause() -> None:
    """Nothing of this client can be missing before it: without a pause a wrong node would be asked for ever."""
    world = opened()
    call = world.write("a")
    world.happen(Replied(world.wire.pop().request, OutOfOrder(1)))
    assert world.wire == []
    world.fire(RetryTimer())
    assert [(ask.node, type(ask.message)) for ask in world.wire] == [(2, WriteBatch)]
    world.settle()
    assert world.result(call) == [2]


def test_after_an_attempt_without_an_answer_the_outcome_is_asked_for() -> None:
    world = opened()
    call = world.write("a")
    world.deliver(is_answer_lost=True)
    world.fire(attempts(world)[0])
    world.fire(RetryTimer())
    assert messages(world) == [FindOutcome]
    world.settle()
    assert world.result(call) == [2]
    assert len(world.log) == 2, "the commands were not sent again"


def test_commands_are_sent_again_where_they_never_arrived() -> None:
    world = opened()
    call = world.write("a")
    world.break_off()
    world.settle()
    assert world.result(call) == [2]
    assert world.mine == ["first", "a"]


def test_no_batch_overtakes_one_whose_outcome_is_looked_for() -> None:
    world = opened(limits=Limits(commands=1))
    world.write("a")
    world.break_off()
    world.write("b")
    world.fire(RetryTimer())
    assert messages(world) == [FindOutcome]


def test_a_session_that_was_forgotten_is_opened_again() -> None:
    world = opened(expiry=5)
    world.pass_others(10)
    calls = [world.write("a"), world.write("b")]
    world.settle()
    assert world.errors == {}
    assert world.mine == ["first", "a", "b"]
    assert [len(world.result(call)) for call in calls] == [1, 1]


def test_what_was_sent_twice_into_a_forgotten_session_has_an_unknown_outcome_and_later_writes_go_on() -> None:
    world = opened(expiry=5)
    call = world.write("a")
    world.deliver(is_answer_lost=True)
    world.fire(attempts(world)[0])
    world.pass_others(10)
    world.settle()
    assert isinstance(world.errors[call], OutcomeUnknown)
    later = world.write("b")
    world.settle()
    assert world.mine == ["first", "a", "b"]
    assert len(world.result(later)) == 1


def test_a_late_copy_from_the_forgotten_session_is_not_applied_in_the_new_one() -> None:
    world = opened(expiry=5)
    call = world.write("a")
    late = world.wire[0]
    world.break_off()
    world.give_up(call)
    world.pass_others(10)
    world.write("b")
    world.settle()
    world.wire.append(late)
    world.settle()
    assert world.mine == ["first", "b"]


def test_an_overloaded_node_is_asked_again_when_it_said() -> None:
    world = opened()
    call = world.write("a")
    world.happen(Failed(world.wire.pop().request, Overloaded(9, 8, retry_after=0.7)))
    assert world.timers[RetryTimer()] == SetTimer(RetryTimer(), 1, 0.7)
    world.fire(RetryTimer())
    assert [(ask.node, type(ask.message)) for ask in world.wire] == [(1, WriteBatch)], (
        "nothing happened, so no question"
    )
    world.settle()
    assert world.result(call) == [2]


def test_an_error_that_no_other_node_would_mend_goes_to_the_callers() -> None:
    world = opened()
    calls = [world.write("a"), world.read()]
    wrong = [BadCommand("too long"), PyraftError("cannot be sent")]
    for ask, error in zip(tuple(world.wire), wrong, strict=True):
        world.happen(Failed(ask.request, error))
    assert world.errors == dict(zip(calls, wrong, strict=True))
    assert world.state.is_idle


def test_a_rejected_command_does_not_keep_the_others_of_its_batch() -> None:
    world = opened()
    calls = [world.write("a"), world.write("b", "c")]
    world.settle()
    last = world.write("d"), world.write("e")
    request = world.wire.pop(0).request
    world.happen(Replied(request, Batched([None], {0: "no"})))
    world.settle()
    assert [world.result(call) for call in (*calls, *last)] == [[2], [3, 4], ["no"], [5]]


def test_a_batch_that_is_rejected_as_a_whole_rejects_every_command() -> None:
    world = opened()
    calls = [world.write("a", "b")]
    world.happen(Replied(world.wire.pop().request, Rejected("no")))
    assert [world.result(call) for call in calls] == [["no", "no"]]


def test_an_answer_of_another_length_is_an_error() -> None:
    world = opened()
    calls = [world.write("a"), world.read()]
    write, read = world.wire
    world.happen(Replied(write.request, Batched([1, 2])))
    world.happen(Replied(read.request, ()))
    assert "answered 1 commands with 2 values" in str(world.errors[calls[0]])
    assert "answered 1 queries with 0 values" in str(world.errors[calls[1]])
    assert world.state.is_idle


def test_queries_that_did_not_fit_into_the_reply_are_asked_again() -> None:
    world = World()
    world.read()
    calls = [world.read() for _ in range(3)]
    world.deliver()
    ask = world.wire.pop()
    world.happen(Replied(ask.request, world._answer(ask)[:1]))  # noqa: SLF001
    assert [world.result(call) for call in calls] == [[0], [], []]
    world.settle()
    assert [world.result(call) for call in calls] == [[0], [0], [0]]


def test_a_call_that_is_given_up_says_what_was_tried_and_whether_it_may_have_happened() -> None:
    world = opened()
    sent = world.write("a")
    world.break_off()
    never = world.write("b")
    world.give_up(sent, never)
    first, second = world.errors[sent], world.errors[never]
    assert isinstance(first, Timeout)
    assert isinstance(second, Timeout)
    assert (first.may_have_happened, second.may_have_happened) == (True, False)
    assert "node 1: the broker cannot be reached" in str(first)
    assert world.state.is_idle


def test_with_no_node_up_a_call_says_so() -> None:
    world = World(nodes=())
    call = world.write("a")
    world.fire(RetryTimer())
    world.give_up(call)
    assert str(world.errors[call]) == "a write did not happen within 1 s (no node is up); nothing changed"


def test_what_is_given_up_on_its_way_does_not_hold_up_the_next() -> None:
    world = opened(limits=Limits(commands=1, batches=1))
    first = world.write("a")
    read = world.read()
    world.give_up(first, read)
    second = world.write("b")
    assert messages(world) == [WriteBatch, ReadMany]
    for timer in attempts(world):
        world.fire(timer)
    world.wire.clear()
    world.settle()
    assert world.result(second) == [2]
    assert world.mine == ["first", "b"]


def test_an_answer_that_comes_after_its_attempt_changes_nothing() -> None:
    world = opened()
    world.write("a")
    late = world.wire.pop()
    world.fire(AttemptTimer(late.request))
    before = world.state
    world.happen(Replied(late.request, Batched([1])))
    assert world.state == before


def test_a_late_refusal_of_a_former_leader_changes_nothing() -> None:
    world = opened(limits=Limits(commands=1))
    world.write("a")
    world.write("b")
    world.leader = 2
    world.deliver()
    world.deliver()
    assert world.state.leader == 2
    assert not world.state.is_resting
    world.settle()
    assert world.mine == ["first", "a", "b"]


def test_what_no_longer_matters_changes_nothing() -> None:
    world = opened()
    before = world.state
    for event in (Failed(99, NotLeader(2)), Replied(99, None), TimerFired(AttemptTimer(99)), GiveUp((99,))):
        world.happen(event)
    assert world.state == before


def test_a_batch_whose_callers_have_gone_is_given_up_when_it_comes_back_out_of_order() -> None:
    world = opened(limits=Limits(commands=1))
    world.write("a")
    gone = world.write("b")
    world.give_up(gone)
    world.deliver(1)
    assert [batch.serial for batch in world.state.batches] == [2]
    last = world.write("c")
    world.settle()
    assert world.mine == ["first", "a", "c"]
    assert world.result(last) == [3]


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (OpenSession(), 7),
        (WriteBatch(b"", 1, 1), Batched([1, "a"], {1: "no"})),
        (WriteBatch(b"", 1, 1), Value(5)),
        (FindOutcome(1, 1), None),
        (FindOutcome(1, 1), Expired(9)),
        (ReadMany(("x",)), (Value(1), Rejected("no"))),
    ],
)
def test_a_reply_is_the_same_after_it_travelled(request_: Request, reply: object) -> None:
    travelled = msgspec.msgpack.decode(msgspec.msgpack.encode(reply))
    assert reply_of(request_, travelled) == reply


def test_a_reply_of_another_kind_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        reply_of(WriteBatch(b"", 1, 1), {"type": "Nonsense"})


def test_a_write_fails_when_sessions_expire_faster_than_they_can_be_used() -> None:
    world = World(expiry=-1)
    call = world.write("a")
    world.settle()
    assert type(world.errors[call]) is PyraftError
    assert "sessions in a row expired" in str(world.errors[call])
    assert world.notebook.lines == []
    assert sum(isinstance(ask.message, OpenSession) for ask in world.asked) == MOST_EXPIRED
    world.sessions.expiry = 1_000_000
    later = world.write("b")
    world.settle()
    assert (world.result(later), world.state.expired) == ([1], 0)


def test_a_batch_that_waits_for_its_turn_ends_with_its_session() -> None:
    """The one before it waits for a new session, and that for this batch, of which a copy may be under way."""
    world = opened(limits=Limits(commands=1), expiry=5)
    calls = [world.write(word) for word in "abc"]
    world.break_off(2)
    world.deliver()
    world.fire(RetryTimer())
    world.deliver(1)  # the outcome of "c": it was not applied
    world.deliver(1)  # "c" again, before "b"
    world.pass_others(10)
    world.settle()
    assert [world.result(call) for call in calls] == [[2], [13], []]
    assert type(world.errors[calls[2]]) is OutcomeUnknown


@pytest.mark.parametrize("is_refused", [True, False])
def test_an_operation_that_waits_again_may_have_happened_unless_it_was_refused(*, is_refused: bool) -> None:
    world = World()
    call = world.operate("remove server 3")
    if is_refused:
        world.happen(Failed(world.wire.pop().request, NotLeader(None)))
    else:
        world.fire(*attempts(world))
    world.give_up(call)
    error = world.errors[call]
    assert isinstance(error, Timeout)
    assert error.may_have_happened is not is_refused


def refused(world: World) -> None:
    """The request on the wire is refused by a node that knows no leader."""
    world.happen(Failed(world.wire.pop().request, NotLeader(None, node=1)))


def test_what_was_given_up_is_not_sent_with_the_write_that_shares_its_batch() -> None:
    world = World()
    gone, kept = world.write("gone"), world.write("kept", "too")
    world.deliver()
    assert messages(world) == [WriteBatch]
    refused(world)
    world.give_up(gone)
    world.settle()
    error = world.errors[gone]
    assert isinstance(error, Timeout)
    assert not error.may_have_happened
    assert world.mine == ["kept", "too"]
    assert world.result(kept) == [1, 2]


def test_a_long_write_of_which_a_part_was_applied_may_have_happened() -> None:
    world = World(limits=Limits(batches=1, commands=2))
    call = world.write("a", "b", "c")
    world.deliver()
    world.deliver()
    assert world.result(call) == [1, 2]
    refused(world)
    world.give_up(call)
    error = world.errors[call]
    assert isinstance(error, Timeout)
    assert error.may_have_happened
