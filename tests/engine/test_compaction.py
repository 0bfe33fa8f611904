"""Snapshots (§7): when one is built, what may be forgotten then, and how one travels to who is too far behind."""

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Purge, SaveSnapshot, SendChunk, TakeSnapshot
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import (
    BuildSnapshot,
    ChangeMembership,
    Configure,
    Fire,
    PurgeLog,
    Receive,
    SnapshotBuilt,
    SnapshotGone,
    Unreachable,
)
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.membership import AddVoters, Membership
from pyraft_lab.engine.messages import AppendAccepted, AppendRequest, SnapshotRequest, SnapshotResponse
from pyraft_lab.engine.rules import MAX_STALLED_RETRIES, MAX_UNANSWERED_RETRIES
from pyraft_lab.engine.state import Probe, RaftState, Replicate, SendSnapshot, Step
from pyraft_lab.engine.timers import retry
from pyraft_lab.engine.types import Index
from tests.engine.builders import (
    EAGER,
    accepted,
    after,
    all_stored,
    append_request,
    applied,
    commands,
    entries,
    follower,
    heard,
    id_of,
    leader,
    progress,
    propose,
    refused,
    sent,
    streaming,
)
from tests.engine.cluster import Cluster

OFTEN = replace(EAGER, snapshot_logs_since_last=5, keep_logs=2, snapshot_chunk=7)
NEVER = replace(EAGER, snapshot_logs_since_last=None)
TRIO = Membership.of({1, 2, 3})


def built(state: RaftState, index: Index | None = None, *, size: int = 20) -> SnapshotBuilt:
    """The machine has built what it was asked for: a snapshot of everything applied."""
    last = state.log.id_at(state.applied if index is None else index)
    assert last is not None
    return SnapshotBuilt(SnapshotMeta(last, state.membership_at(last.index), state.membership_id_at(last.index), size))


def applying(config: Config = NEVER, count: int = 10) -> RaftState:
    """A follower that applied so many entries."""
    state = follower(2, [1] * count, config=config)
    return after(state, append_request(1, 1, id_of(count), commit=count))


def takes(turn: Step) -> list[Index]:
    """Where snapshots are asked for."""
    return [take.last.index for take in commands(turn, TakeSnapshot)]


# Building


@pytest.mark.row("SN-01", "CP-21")
def test_a_snapshot_is_built_every_so_many_entries_and_the_log_purged_up_to_it() -> None:
    cluster = Cluster(1, config=OFTEN)
    cluster.run()
    for n in range(1, 23):
        cluster.write(f"x{n}", first=n)
        cluster.run()
    assert cluster[1].snapshot_last.index == 20
    assert cluster[1].log.start.index == 18
    before = cluster.nodes[1].machine
    cluster.crash(1)
    cluster.restart(1)
    cluster.run()
    assert cluster.nodes[1].machine == before


@pytest.mark.row("SN-02")
def test_without_a_policy_only_an_operator_asks_for_a_snapshot() -> None:
    state = applying(NEVER, 100)
    assert not state.building
    assert takes(step(state, BuildSnapshot())) == [100]


@pytest.mark.row("SN-02")
def test_bytes_may_be_the_measure() -> None:
    config = replace(NEVER, snapshot_bytes_since_last=3 * len("1.1"))
    first = step(follower(2, [1], config=config), append_request(1, 1, id_of(1), entries([1, 1], 2), commit=2))
    assert takes(first) == []
    assert takes(step(first.after, append_request(1, 1, id_of(3), commit=3))) == [3]


@pytest.mark.row("SN-03")
def test_nothing_new_is_no_snapshot() -> None:
    state = applying()
    done = after(state, BuildSnapshot(), built(state))
    assert step(done, BuildSnapshot()).commands == ()
    assert step(follower(2), BuildSnapshot()).commands == ()


@pytest.mark.row("SN-04")
def test_a_build_holds_up_neither_appends_nor_applies() -> None:
    building = after(applying(), BuildSnapshot())
    turn = step(building, append_request(1, 1, id_of(10), entries([1, 1], 11), commit=12))
    assert applied(turn) == [11, 12]
    assert takes(step(turn.after, BuildSnapshot())) == []
    assert commands(step(turn.after, built(building, 10)), SaveSnapshot)


@pytest.mark.row("SN-05")
def test_what_came_during_a_build_is_looked_at_when_it_ends() -> None:
    state = after(applying(OFTEN, 6))
    assert state.building
    more = step(state, append_request(1, 1, id_of(6), entries([1] * 6, 7), commit=12))
    assert takes(more) == []
    assert takes(step(more.after, built(state, 6))) == [12]


@pytest.mark.row("SN-06")
def test_a_machine_that_refuses_is_asked_again_at_the_next_threshold() -> None:
    refused_ = after(applying(OFTEN, 6), SnapshotBuilt(None))
    assert not refused_.building
    assert refused_.snapshot_last.index == 0
    four = after(refused_, append_request(1, 1, id_of(6), entries([1] * 4, 7), commit=10))
    assert not four.building
    assert takes(step(four, append_request(1, 1, id_of(10), entries([1], 11), commit=11))) == [11]


def test_a_build_that_a_newer_snapshot_overtook_is_dropped() -> None:
    state = after(applying(), BuildSnapshot())
    newer = SnapshotBuilt(SnapshotMeta(id_of(10), TRIO))
    assert step(after(state, newer), built(state, 9)).commands == ()


# Forgetting


@pytest.mark.row("SN-19", "SN-33")
def test_an_order_to_purge_goes_no_further_than_the_snapshot() -> None:
    state = after(applying(), BuildSnapshot(), built(applying(), 6))
    turn = step(state, PurgeLog(9))
    assert commands(turn, Purge) == [Purge(id_of(6))]
    log = turn.after.log
    assert (log.first_index, log.id_at(6), log.id_at(5)) == (7, id_of(6), None)
    assert step(applying(), PurgeLog(9)).commands == ()


@pytest.mark.row("SN-01")
def test_entries_are_kept_for_the_slow_and_purged_in_batches() -> None:
    config = replace(NEVER, keep_logs=3, purge_batch=4)
    state = applying(config)
    assert commands(step(after(state, BuildSnapshot()), built(state, 6)), Purge) == []
    assert commands(step(after(state, BuildSnapshot()), built(state, 7)), Purge) == [Purge(id_of(4))]


@pytest.mark.row("SN-18", "SN-31")
def test_what_a_snapshot_under_way_needs_after_it_stays() -> None:
    first = sending(size=10)
    grown = after(first, *(propose("y") for _ in range(20)))
    grown = after(grown, all_stored(grown), accepted(2, grown))
    newer = step(after(grown, BuildSnapshot()), built(grown))
    assert newer.after.snapshot_last.index == grown.applied
    assert newer.after.log.start.index == first.snapshot_last.index
    assert progress(newer.after, 3).state == progress(first, 3).state
    done = step(newer.after, accepted(3, newer.after, first.snapshot_last.index))
    assert [one.prev.index for one in sent(done, AppendRequest, 3)] == [first.snapshot_last.index]
    assert done.after.log.start == newer.after.snapshot_last


@pytest.mark.row("SN-17")
def test_a_dead_receiver_of_a_snapshot_keeps_nobody_from_purging() -> None:
    dead = after(sending(size=10), *[Fire(retry(3))] * MAX_UNANSWERED_RETRIES)
    grown = after(dead, *(propose("y") for _ in range(20)))
    grown = after(grown, all_stored(grown), accepted(2, grown))
    assert grown.committed == grown.log.last.index
    newer = after(grown, BuildSnapshot(), built(grown))
    assert newer.log.start == newer.snapshot_last


@pytest.mark.row("SN-17", "SN-18")
def test_a_snapshot_under_way_is_not_pushed_out_by_two_newer_ones_unless_its_transfer_is_hopeless() -> None:
    sent_first = sending(size=20, offset=7)
    often = after(sent_first, Configure(replace(sent_first.config, snapshot_logs_since_last=2)))
    second = written(often, 5)
    second = after(second, built(second))
    assert second.disk.snapshot != sent_first.disk.snapshot, "the disk keeps the stored one and the one before"
    third = written(second, 5)
    assert not third.building
    assert not step(third, BuildSnapshot()).commands
    assert third.log.start.index == sent_first.snapshot_last.index
    arrived = step(third, accepted(3, third, sent_first.snapshot_last.index))
    assert arrived.after.building, "the next one is built as soon as the old one has arrived"
    still = after(third, *[Fire(retry(3))] * (MAX_STALLED_RETRIES - 1))
    assert not still.building
    assert after(still, Fire(retry(3))).building, "and as soon as the old one is hopeless"


def test_a_receiver_that_takes_a_byte_now_and_then_is_waited_for() -> None:
    state = sending(size=20, offset=7)
    tried = after(state, *[Fire(retry(3))] * (MAX_STALLED_RETRIES - 1))
    assert tries(tried) == MAX_STALLED_RETRIES - 1
    assert tries(after(tried, chunk_answer(state, 7))) == MAX_STALLED_RETRIES - 1, "it holds what it held before"
    assert tries(after(tried, chunk_answer(state, 8))) == 0


def test_a_receiver_that_turns_out_to_hold_entries_of_the_log_gets_those_that_follow() -> None:
    state = written(sending(size=20, offset=7), 5)
    behind = state.log.start.index
    taken = after(state, accepted(3, state, behind + 1))
    assert isinstance(progress(taken, 3).state, Replicate)
    assert progress(taken, 3).matched == behind + 1
    asked = step(state, refused(3, state, id_of(behind + 9), state.log.entry(behind + 2).id))
    assert [one.prev.index for one in sent(asked, AppendRequest, 3)] == [behind + 2]
    assert not commands(asked, SendChunk)
    unhelpful = step(state, refused(3, state, id_of(behind + 9), id_of(3)))
    assert progress(unhelpful.after, 3).state == progress(state, 3).state


def written(state: RaftState, count: int) -> RaftState:
    """This leader after so many writes that node 2 holds too."""
    grown = after(state, *(propose("y") for _ in range(count)))
    return after(grown, all_stored(grown), accepted(2, grown))


def tries(state: RaftState) -> int:
    """How often in a row the transfer to node 3 was tried again."""
    pace = progress(state, 3).state
    assert isinstance(pace, SendSnapshot)
    return pace.tries


@pytest.mark.row("SN-17", "SN-31")
@pytest.mark.parametrize(("offset", "newest"), [(0, True), (7, False)])
def test_a_receiver_that_was_dead_gets_the_newest_snapshot_unless_it_holds_a_part(offset: int, *, newest: bool) -> None:
    dead = after(sending(size=10, offset=offset), *[Fire(retry(3))] * MAX_UNANSWERED_RETRIES)
    grown = after(dead, *(propose("y") for _ in range(20)))
    grown = after(grown, all_stored(grown), accepted(2, grown))
    newer = after(grown, BuildSnapshot(), built(grown))
    (chunk,) = commands(step(newer, Fire(retry(3))), SendChunk)
    assert (chunk.offset, chunk.meta) == (offset, newer.disk.snapshot if newest else dead.disk.snapshot)


@pytest.mark.row("SN-23")
def test_the_membership_survives_its_entry() -> None:
    cluster = Cluster(1, 4, config=OFTEN, membership=Membership.of({1}))
    cluster.run()
    cluster.feed(1, ChangeMembership(request=99, change=AddVoters({4: ""})))
    cluster.run()
    for n in range(1, 30):
        cluster.write(f"x{n}", first=n)
        cluster.run()
    assert cluster[1].log.configs == ()
    assert cluster[1].membership == cluster[4].membership == Membership.of({1, 4})
    cluster.crash(4)
    cluster.restart(4)
    assert cluster[4].membership == Membership.of({1, 4})


# The leader's side of a transfer


def sending(*, size: int = 20, offset: int = 0) -> RaftState:
    """A leader of ten entries, all but the no-op purged, that sends its snapshot, ``size`` bytes long, to node 3."""
    config = replace(NEVER, keep_logs=0, snapshot_chunk=7)
    state = streaming(leader(1, [1] * 10, term=2, config=config), 2)
    state = after(state, BuildSnapshot(), built(state, size=size))
    assert state.log.start == state.snapshot_last
    state = after(state, refused(3, state, id_of(10)))
    meta = state.disk.snapshot
    assert meta is not None
    return after(state, *([chunk_answer(state, offset)] if offset else []))


def chunk_answer(state: RaftState, offset: int, *, src: int = 3) -> Receive:
    """Node 3 holds the snapshot's bytes up to ``offset``."""
    return Receive(src, SnapshotResponse(vote=state.vote, last=state.snapshot_last, offset=offset, round=1))


def chunks(turn: Step) -> list[tuple[int, int]]:
    """Which bytes are sent."""
    return [(chunk.offset, chunk.length) for chunk in commands(turn, SendChunk)]


@pytest.mark.row("SN-07", "HL-02", "SN-32")
def test_who_is_behind_the_log_gets_the_snapshot_and_then_the_rest() -> None:
    cluster = Cluster(1, 2, 3, config=OFTEN)
    cluster.elect(1)
    cluster.isolate(3)
    for n in range(1, 23):
        cluster.write(f"x{n}", first=n)
        cluster.run()
    cluster.heal()
    cluster.write("the last", first=23)
    cluster.retry()
    cluster.retry()
    assert cluster[3].snapshot_last.index >= 20
    assert cluster.nodes[3].machine == cluster.nodes[1].machine
    assert cluster[3].log.last == cluster[1].log.last


@pytest.mark.row("SN-16")
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_any_size_of_chunk_carries_the_same_bytes(size: int) -> None:
    cluster = Cluster(1, 2, 3, config=replace(OFTEN, snapshot_chunk=size))
    cluster.elect(1)
    cluster.isolate(3)
    cluster.write(*(f"x{n}" for n in range(22)), first=1)
    cluster.run()
    cluster.heal()
    cluster.retry()
    assert cluster.nodes[3].machine == cluster.nodes[1].machine
    meta = cluster[3].disk.snapshot
    assert meta is not None
    assert cluster.nodes[3].snapshots[meta] == cluster.nodes[1].snapshots[meta]
    taken = [s for s in cluster.steps if isinstance(s.event, Receive) and isinstance(s.event.message, SnapshotRequest)]
    assert len(taken) == -(-meta.size // size)


@pytest.mark.row("SN-16")
def test_chunks_follow_each_other_one_at_a_time() -> None:
    state = sending(size=20)
    assert progress(state, 3).state == SendSnapshot(state.disk.snapshot, asked=True)  # type: ignore[arg-type]
    second = step(state, chunk_answer(state, 7))
    assert chunks(second) == [(7, 7)]
    assert chunks(step(second.after, propose("x"))) == []


@pytest.mark.row("SN-20", "NF-01")
def test_a_doubled_answer_does_not_double_the_stream() -> None:
    state = sending(size=20, offset=7)
    assert chunks(step(state, chunk_answer(state, 7))) == []
    assert chunks(step(state, chunk_answer(state, 0))) == [(0, 7)]


@pytest.mark.row("SN-20")
def test_a_lost_chunk_goes_out_again_from_where_it_was_lost() -> None:
    state = sending(size=20, offset=7)
    again = step(state, Fire(retry(3)))
    assert chunks(again) == [(7, 7)]
    assert progress(again.after, 3).failures == 1
    assert progress(after(again.after, chunk_answer(state, 14)), 3).failures == 0


@pytest.mark.row("SN-20")
def test_an_unreachable_receiver_is_left_alone_until_it_answers() -> None:
    state = after(sending(size=20, offset=7), Unreachable(3))
    assert chunks(step(state, propose("x"))) == []
    assert chunks(step(state, heard(3, state))) == [(7, 7)]


@pytest.mark.row("SN-20")
def test_a_receiver_that_restarted_begins_again() -> None:
    state = sending(size=20, offset=14)
    assert chunks(step(state, chunk_answer(state, 0))) == [(0, 7)]


@pytest.mark.row("SN-20")
def test_an_answer_about_another_snapshot_is_nothing_but_contact() -> None:
    state = sending(size=20, offset=7)
    other = Receive(3, SnapshotResponse(vote=state.vote, last=id_of(3), offset=14, round=1))
    assert progress(after(state, other), 3).state == progress(state, 3).state


@pytest.mark.row("SN-21")
def test_an_acknowledgement_beyond_the_snapshot_ends_its_transfer() -> None:
    state = after(sending(size=20), propose("x"))
    turn = step(state, accepted(3, state, state.snapshot_last.index))
    assert isinstance(progress(turn.after, 3).state, Replicate)
    assert [len(one.entries) for one in sent(turn, AppendRequest, 3)] == [1]


@pytest.mark.row("FC-18")
def test_a_late_acknowledgement_keeps_next_beyond_matched_while_a_snapshot_is_under_way() -> None:
    state = sending(size=20)
    known, began = progress(state, 3), AppendAccepted(vote=state.vote, matched=id_of(1), round=1)
    one = progress(after(state, Receive(3, replace(began, matched=id_of(known.next)))), 3)
    assert (one.matched, one.next, one.state) == (known.next, known.next + 1, known.state)


@pytest.mark.row("SN-20")
def test_a_snapshot_that_is_gone_is_replaced_by_the_newest() -> None:
    state = sending(size=20, offset=7)
    grown = after(state, propose("x"))
    grown = after(grown, all_stored(grown), accepted(2, grown), BuildSnapshot())
    newer = after(grown, built(grown))
    turn = step(newer, SnapshotGone(3))
    assert [chunk.meta.last.index for chunk in commands(turn, SendChunk)] == [newer.snapshot_last.index]
    assert step(after(sending(), Fire(retry(2))), SnapshotGone(2)).commands == ()
    same = step(state, SnapshotGone(3))
    assert chunks(same) == [], "its driver cannot read it yet: the retry timer will ask again"
    assert chunks(step(same.after, Fire(retry(3)))) == [(0, 7)]


@pytest.mark.row("FC-10")
def test_who_gets_a_snapshot_gets_no_entries_meanwhile() -> None:
    state = sending(size=20)
    turn = step(state, propose("x"))
    assert sent(turn, AppendRequest, 3) == []
    ignored = after(turn.after, refused(3, state, id_of(9)))
    assert progress(ignored, 3).state == progress(state, 3).state
    assert progress(ignored, 3).state != Probe()
