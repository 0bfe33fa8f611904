"""Pipelining and flow control (dissertation §10.2.1): a probe, a window, a way back."""

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Accepted, Apply, CancelTimer, Refuse, SetTimer, TooManyUncommitted
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import ChangeMembership, Fire, Propose, Receive, Unreachable
from pyraft_lab.engine.log import Noop, SnapshotMeta
from pyraft_lab.engine.membership import AddLearners, ReplaceVoters
from pyraft_lab.engine.messages import AppendRequest, HeartbeatRequest
from pyraft_lab.engine.requests import room_for
from pyraft_lab.engine.state import Inflight, Probe, RaftState, Replicate, SendSnapshot
from pyraft_lab.engine.timers import TimerKind, delay, retry
from pyraft_lab.engine.types import Index
from tests.engine.builders import (
    BEAT,
    EAGER,
    accepted,
    after,
    all_stored,
    commands,
    heard,
    id_of,
    leader,
    leadership,
    progress,
    propose,
    refused,
    sent,
    streaming,
    terms,
)
from tests.engine.cluster import Cluster


def narrow(**limits: int) -> Config:
    return replace(EAGER, prompt_commit=False, **limits)


def inflight(state: RaftState, peer: int = 2) -> list[Index]:
    pace = progress(state, peer).state
    assert isinstance(pace, Replicate)
    return [batch.last for batch in pace.inflight]


# Probing and streaming


@pytest.mark.row("FC-01")
def test_one_message_at_a_time_until_the_logs_are_known_to_agree() -> None:
    state = leader(1, [1, 1], term=2)
    quiet = step(state, propose("a", "b", "c"))
    assert sent(quiet, AppendRequest) == []
    answered = step(quiet.after, accepted(2, quiet.after, 3))
    assert [len(one.entries) for one in sent(answered, AppendRequest, 2)] == [3]
    assert sent(answered, AppendRequest, 3) == []


@pytest.mark.row("FC-02")
def test_a_stream_does_not_wait_for_answers() -> None:
    state = streaming(leader(1))
    for number in range(5):
        turn = step(state, propose(f"x{number}"))
        assert [[one.index for one in sent(turn, AppendRequest, peer)[0].entries] for peer in (2, 3)] == [
            [number + 2]
        ] * 2
        state = turn.after
    assert progress(state, 2).next == 7
    assert inflight(state) == [2, 3, 4, 5, 6]


@pytest.mark.row("FC-03")
def test_a_full_window_stops_one_stream_and_no_other() -> None:
    state = streaming(leader(1, config=narrow(max_inflight=2)))
    for text in "abc":
        state = after(state, propose(text))
        state = after(state, accepted(3, state))
    assert inflight(state) == [2, 3]
    turn = step(state, propose("d"))
    assert sent(turn, AppendRequest, 2) == []
    assert [one.index for one in sent(turn, AppendRequest, 3)[0].entries] == [5]


@pytest.mark.row("FC-04")
def test_an_answer_frees_everything_up_to_it_and_a_stale_one_nothing() -> None:
    state = streaming(leader(1, config=narrow(max_inflight=3)))
    state = after(state, propose("a"), propose("b"), propose("c"), propose("d"), propose("e"))
    assert inflight(state) == [2, 3, 4]
    freed = step(state, accepted(2, state, 3))
    assert inflight(freed.after) == [4, 6]
    assert [[one.index for one in message.entries] for message in sent(freed, AppendRequest, 2)] == [[5, 6]]
    stale = step(freed.after, accepted(2, state, 2))
    assert inflight(stale.after) == [4, 6]
    assert sent(stale, AppendRequest) == []


@pytest.mark.row("FC-05", "FC-08")
def test_a_lost_window_is_probed_again_from_what_is_certain() -> None:
    # Etcd takes a heartbeat's answer as the sign; here the retry timer does it.
    state = after(streaming(leader(1, config=narrow(max_inflight=2))), propose("a"), propose("b"), propose("c"))
    turn = step(state, Fire(retry(2)))
    assert [[one.index for one in message.entries] for message in sent(turn, AppendRequest)] == [[2, 3, 4]]
    assert progress(turn.after, 2).state == Probe(asked=True)
    assert sent(step(turn.after, heard(2, turn.after)), AppendRequest, 2), "an answer of any kind ends the back-off"
    recovered = after(turn.after, accepted(2, turn.after))
    assert (progress(recovered, 2).matched, progress(recovered, 2).state) == (4, Replicate())


@pytest.mark.row("FC-06", "HL-04")
def test_a_message_holds_whole_entries_up_to_its_limit_and_a_larger_one_alone() -> None:
    state = leader(1, config=narrow(max_append_bytes=10))
    sizes = (4, 4, 4, 30, 10, 1)
    state = after(state, propose(*(b"x" * size for size in sizes)))
    turn = step(state, accepted(2, state, 1))
    batches = [[one.size for one in message.entries] for message in sent(turn, AppendRequest, 2)]
    assert batches == [[4, 4], [4], [30], [10], [1]]


@pytest.mark.row("FC-06")
def test_a_message_holds_no_more_entries_than_it_may() -> None:
    state = after(leader(1, config=narrow(max_append_entries=4)), propose(*"abcdefghij"))
    turn = step(state, accepted(2, state, 1))
    assert [len(message.entries) for message in sent(turn, AppendRequest, 2)] == [4, 4, 2]


@pytest.mark.row("FC-07")
def test_a_window_is_full_of_bytes_as_well_as_of_messages() -> None:
    state = streaming(leader(1, config=narrow(max_inflight_bytes=10)))
    for _ in range(5):
        state = after(state, propose(b"12345"))
    assert progress(state, 2).state == Replicate((Inflight(2, 5), Inflight(3, 5)))


@pytest.mark.row("FC-08")
def test_an_unreachable_peer_is_probed_after_what_it_acknowledged() -> None:
    state = after(streaming(leader(1)), propose("a"), propose("b"))
    turn = step(state, Unreachable(2))
    assert (progress(turn.after, 2).state, progress(turn.after, 2).next) == (Probe(asked=True), 2)
    assert SetTimer(retry(2), backoff=1) in turn.commands
    assert sent(turn, AppendRequest) == []
    assert [one.entries[0].index for one in sent(step(turn.after, Fire(retry(2))), AppendRequest)] == [2]


@pytest.mark.row("FC-08")
def test_a_refusal_ends_the_stream() -> None:
    state = after(streaming(leader(1)), propose("a"), propose("b"))
    turn = step(state, refused(2, state, id_of(2), id_of(1)))
    assert [[one.index for one in message.entries] for message in sent(turn, AppendRequest)] == [[2, 3]]
    assert progress(turn.after, 2).state == Probe(asked=True)


@pytest.mark.row("FC-10")
def test_who_gets_a_snapshot_gets_no_appends_until_it_has_it() -> None:
    state = streaming(leader(1, [1, 1, 1, 1], term=2))
    meta = SnapshotMeta(id_of(3), state.membership, size=9)
    behind = replace(progress(state, 2), state=SendSnapshot(meta, asked=True), matched=0, next=1)
    state = replace(state, role=leadership(state).with_progress(behind))
    turn = step(state, propose("x"))
    assert sent(turn, AppendRequest, 2) == []
    assert sent(turn, AppendRequest, 3)
    caught_up = step(turn.after, accepted(2, turn.after, 3))
    assert [[one.index for one in message.entries] for message in sent(caught_up, AppendRequest, 2)] == [[4, 5, 6]]


@pytest.mark.row("FC-13")
def test_reordered_messages_leave_no_gap_and_no_double() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    for number, text in enumerate("abc", 1):
        cluster.write(text, first=number)
    third = [flight for flight in cluster.flying if flight.dst == 2][-1]
    cluster.deliver(third)
    assert terms(cluster[2]) == [1]
    cluster.retry()
    assert cluster.nodes[2].machine == [b"a", b"b", b"c"]
    assert cluster[2].log.last == id_of(4)


@pytest.mark.row("FC-15")
def test_an_acknowledgement_that_comes_twice_counts_once() -> None:
    state = after(streaming(leader(1)), propose("a", "b"))
    state = after(state, all_stored(state))
    once = after(state, accepted(2, state))
    twice = step(once, accepted(2, state))
    lower = step(once, accepted(2, state, 1))
    assert (twice.after, commands(twice, Apply)) == (once, [])
    assert progress(lower.after, 2).matched == 3
    assert lower.after.committed == 3


# Back-off


@pytest.mark.row("FC-16", "HL-07")
def test_a_silent_peer_is_asked_ever_more_seldom() -> None:
    state, config = leader(1), Config()
    waits = []
    for _ in range(8):
        turn = step(state, Fire(retry(2)))
        (timer,) = commands(turn, SetTimer)
        waits.append(delay(config, TimerKind.RETRY, timer.backoff, 0.0))
        assert len(sent(turn, AppendRequest)) == 1
        state = turn.after
    assert waits == [0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.row("FC-16")
def test_the_first_answer_ends_the_back_off() -> None:
    state = after(leader(1), Fire(retry(2)), Fire(retry(2)), Fire(retry(2)))
    assert progress(state, 2).failures == 3
    answered = step(state, accepted(2, state))
    assert progress(answered.after, 2).failures == 0
    assert CancelTimer(retry(2)) in answered.commands
    again = step(answered.after, propose("x"))
    assert SetTimer(retry(2)) in again.commands


@pytest.mark.row("FC-16")
def test_the_longest_wait_is_never_shorter_than_the_first() -> None:
    config = Config(retry_timeout=2.0, retry_limit=1.0)
    assert [delay(config, TimerKind.RETRY, backoff, 0.0) for backoff in (0, 1, 9)] == [2.0, 2.0, 2.0]


@pytest.mark.row("FC-17")
def test_a_hung_follower_delays_no_change_that_removes_it() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("x")
    cluster.run(lambda flight: 3 in (flight.src, flight.dst))
    cluster.feed(1, ChangeMembership(request=9, change=ReplaceVoters(frozenset({1, 2}))))
    cluster.run(lambda flight: 3 in (flight.src, flight.dst))
    assert cluster[1].membership.voters == {1, 2}
    assert cluster[1].committed == cluster[1].log.last.index
    assert leadership(cluster[1]).of(3) is None
    assert retry(3) not in cluster.nodes[1].timers


@pytest.mark.row("FC-19", "RL-09")
def test_an_answer_of_a_peers_earlier_life_is_not_believed() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("a", "b")
    cluster.run(lambda flight: flight.src == 3)
    late = [flight for flight in cluster.flying if flight.src == 3]
    for request, voters in ((8, {1, 2}), (9, {1, 2})):
        cluster.feed(1, ChangeMembership(request=request, change=ReplaceVoters(frozenset(voters))))
        cluster.run(lambda flight: flight in late or flight.dst == 3)
    cluster.feed(1, ChangeMembership(request=10, change=AddLearners(frozenset({3}))))
    assert progress(cluster[1], 3).matched == 0
    for flight in late:
        cluster.deliver(flight)
    assert progress(cluster[1], 3).matched == 0


# Limits


@pytest.mark.row("FC-11", "CL-10", "HL-07")
def test_a_leader_without_a_quorum_accepts_only_so_many_bytes() -> None:
    state = streaming(leader(1, config=replace(EAGER, max_uncommitted_bytes=10)))
    large = step(state, propose(b"x" * 25))
    assert commands(large, Accepted), "the first always passes"
    full = step(large.after, propose("y"))
    assert full.commands == (Refuse((1,), TooManyUncommitted(25, 10)),)
    assert commands(step(large.after, Propose(requests=(1,), payloads=(Noop(),))), Accepted)
    state = after(large.after, all_stored(large.after))
    drained = after(state, accepted(2, state))
    assert commands(step(drained, propose(b"x" * 10)), Accepted)


@pytest.mark.row("FC-11")
def test_the_limit_counts_what_waits_and_what_comes() -> None:
    state = after(streaming(leader(1, config=replace(EAGER, max_uncommitted_bytes=10))), propose("12345"))
    assert room_for(state) == 5
    assert room_for(streaming(leader(1))) is None
    assert commands(step(state, propose("12345")), Accepted)
    assert commands(step(state, propose("123456")), Refuse) == [Refuse((1,), TooManyUncommitted(5, 10))]


@pytest.mark.row("FC-12")
def test_what_is_committed_is_handed_out_in_bounded_pieces() -> None:
    state = after(
        streaming(leader(1, voters=[1], config=replace(EAGER, max_apply_entries=300))), propose(*["x"] * 1000)
    )
    turn = step(state, all_stored(state))
    pieces = [[entry.index for entry in piece.entries] for piece in commands(turn, Apply)]
    assert [len(piece) for piece in pieces] == [300, 300, 300, 100]
    assert [index for piece in pieces for index in piece] == list(range(2, 1002))


@pytest.mark.row("NF-14")
def test_heartbeats_leave_beside_the_appends_however_large_these_are() -> None:
    state = streaming(leader(1, config=replace(EAGER, max_inflight=1, max_append_bytes=1 << 20)))
    busy = after(state, propose(b"x" * (10 << 20)), propose("y"))
    beats = sent(step(busy, BEAT), HeartbeatRequest)
    assert len(beats) == 2
    assert sent(step(busy, BEAT), AppendRequest) == []


def test_a_heartbeat_is_spared_where_an_append_was_just_acknowledged() -> None:
    state = after(leader(1, config=replace(EAGER, suppress_heartbeats=True)))
    state = after(state, accepted(2, state))
    turn = step(state, BEAT)
    assert [send.matched for send in sent(turn, HeartbeatRequest)] == [id_of(0, (0, 0))]
    assert len(sent(step(turn.after, BEAT), HeartbeatRequest)) == 2


def test_news_of_an_unknown_peer_is_no_news() -> None:
    state = leader(1)
    for event in (Unreachable(9), Fire(retry(9)), Receive(9, accepted(2, state).message)):
        turn = step(state, event)
        assert (turn.after, turn.commands) == (state, ())
