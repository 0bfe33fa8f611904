"""What a follower does with a snapshot that arrives (Figure 13), and with appends, case by case."""

import zlib

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import (
    Alarm,
    Append,
    Halt,
    InstallSnapshot,
    RestoreMachine,
    Truncate,
    WriteChunk,
)
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Boot, Receive
from pyraft_lab.engine.log import Configuration, Entry, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRefused,
    Outdated,
    SnapshotRequest,
    SnapshotResponse,
)
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.state import Disk, Follower, Learner, RaftState, Step
from pyraft_lab.engine.types import ORIGIN, Index, LogId, Vote
from tests.engine.builders import (
    EAGER,
    after,
    answers,
    append_request,
    applied,
    candidate,
    commands,
    entries,
    entry,
    follower,
    id_of,
    log,
    sends,
    storage,
    terms,
)
from tests.engine.cluster import Cluster

TRIO = Membership.of({1, 2, 3})
BYTES = b"the machine as it was"


def snapshot(last: LogId, data: bytes = BYTES, *, membership: Membership = TRIO) -> SnapshotMeta:
    """What a snapshot of these bytes stands for."""
    return SnapshotMeta(last, membership, id_of(1), len(data), zlib.crc32(data))


def install(
    last: LogId,
    *,
    term: int = 3,
    data: bytes = BYTES,
    offset: int = 0,
    stop: int = 99,
    meta: SnapshotMeta | None = None,
) -> Receive:
    """Bytes of a snapshot from node 1, which leads ``term``; all of them unless told otherwise."""
    stands_for = meta or snapshot(last, data)
    part = data[offset:stop]
    done = offset + len(part) >= stands_for.size
    vote = Vote(term, 1, committed=True)
    return Receive(1, SnapshotRequest(vote=vote, meta=stands_for, offset=offset, data=part, done=done, round=4))


def holder(given: list[int], *, committed: Index = 0, term: int = 3) -> RaftState:
    """A follower of node 1 in term 3, all of whose log is on disk."""
    return follower(2, given, term=term, leader=1, committed=committed)


def taken(turn: Step) -> list[LogId]:
    """Which snapshots were installed."""
    return [command.meta.last for command in commands(turn, InstallSnapshot)]


# A snapshot arrives: every case


@pytest.mark.row("SN-14")
def test_a_snapshot_of_a_leadership_that_is_over_is_refused() -> None:
    state = follower(2, [1, 1], term=9, voted_for=3)
    turn = step(state, install(id_of(8), term=3))
    assert answers(turn) == [Outdated(vote=Vote(9, 3))]
    assert turn.after == state


@pytest.mark.row("SN-14")
def test_its_sender_learns_the_later_term() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.feed(1, Receive(2, Outdated(vote=Vote(9, 3))))
    assert cluster.leader == 0
    assert cluster[1].vote == Vote(9)


@pytest.mark.row("SN-09")
@pytest.mark.parametrize("last", [6, 12])
def test_a_snapshot_of_what_is_committed_already_tells_nothing(last: Index) -> None:
    state = holder([1] * 13, committed=12)
    turn = step(state, install(id_of(last)))
    assert answers(turn) == [AppendAccepted(vote=state.vote, matched=id_of(last), round=4)]
    assert storage(turn) == []
    assert turn.after.log == state.log


@pytest.mark.row("SN-34", "SN-11")
def test_a_snapshot_beyond_the_log_replaces_all_of_it() -> None:
    state = holder([1, 1], committed=1)
    turn = step(state, install(id_of(8, 2)))
    after_ = turn.after
    assert taken(turn) == [id_of(8, 2)]
    assert (after_.log.start, after_.log.last, after_.committed, after_.applied) == (id_of(8, 2), id_of(8, 2), 8, 8)
    assert commands(turn, RestoreMachine) == [RestoreMachine(snapshot(id_of(8, 2)))]
    assert [send.durable for send in sends(turn)] == [True]
    assert answers(turn) == [AppendAccepted(vote=state.vote, matched=id_of(8, 2), round=4)]


@pytest.mark.row("SN-10")
def test_entries_after_a_snapshot_that_fits_are_kept() -> None:
    state = holder([1, 1, 1, 1, 2, 2], committed=2)
    turn = step(state, install(id_of(4)))
    assert terms(turn.after) == [2, 2]
    assert (turn.after.committed, turn.after.log.start) == (4, id_of(4))
    assert applied(step(turn.after, append_request(1, 3, id_of(6, 2), commit=6))) == [5, 6]


@pytest.mark.row("SN-11")
def test_a_log_on_another_history_is_dropped() -> None:
    grown = Configuration(Membership.of({1, 2, 3}, learners={7}))
    state = after(holder([1, 1, 1]), append_request(1, 3, id_of(3), [entry(4, 2), entry(5, 2, grown)]))
    state = replace(state, committed=2, applied=2)
    turn = step(state, install(id_of(4, 3)))
    assert len(turn.after.log) == 0
    assert turn.after.log.last == id_of(4, 3)
    assert turn.after.membership == TRIO
    assert turn.after.stored == ORIGIN, "nothing is known to be on disk until the disk says so"


@pytest.mark.row("SN-12")
@pytest.mark.parametrize("last", [id_of(5, 2), id_of(4, 2)])
def test_a_snapshot_against_what_is_committed_here_is_impossible(last: LogId) -> None:
    turn = step(holder([1] * 6, committed=5), install(last))
    assert commands(turn, Halt)
    assert storage(turn) == []
    assert step(turn.after, append_request(1, 3, id_of(6))).commands == ()


@pytest.mark.row("SN-13")
def test_a_snapshot_from_beyond_its_senders_own_leadership_is_not_kept() -> None:
    state = holder([1, 1])
    turn = step(state, install(id_of(8, 7)))
    assert commands(turn, Alarm)
    assert turn.after == replace(state, role=turn.after.role)


@pytest.mark.row("SN-24")
@pytest.mark.parametrize(
    ("membership", "role"),
    [
        (Membership.of({1, 3}, learners={2}), Learner),
        (Membership.of({1, 3}), Learner),
        (Membership.of({1, 2, 3, 4}), Follower),
    ],
)
def test_the_receivers_role_follows_the_membership_in_the_snapshot(membership: Membership, role: type) -> None:
    meta = snapshot(id_of(8), membership=membership)
    turn = step(holder([1]), install(id_of(8), meta=meta))
    assert turn.after.membership == membership
    assert isinstance(turn.after.role, role)


@pytest.mark.row("JC-15", "SN-24")
def test_a_snapshot_taken_while_joint_leaves_its_receiver_joint() -> None:
    joint = Membership(configs=(frozenset({1, 2, 3}), frozenset({2, 4})), nodes={5: "staged"}, retain=True)
    turn = step(follower(5, [], voters=[1]), install(id_of(8), meta=snapshot(id_of(8), membership=joint)))
    assert turn.after.membership == joint
    assert turn.after.membership.leave().learners == {1, 3, 5}, "who stays as a learner is told too"


@pytest.mark.row("SN-29")
def test_a_candidate_that_gets_a_snapshot_follows_its_sender() -> None:
    turn = step(candidate(2, [1]), install(id_of(8), term=2))
    assert turn.after.role == Follower(leader=1)
    assert taken(turn) == [id_of(8)]


# Chunk by chunk


@pytest.mark.row("SN-16", "SN-20")
def test_chunks_are_collected_in_order_and_installed_with_the_last() -> None:
    first = step(holder([1]), install(id_of(8), stop=9))
    assert commands(first, WriteChunk) == [WriteChunk(snapshot(id_of(8)), 0, BYTES[:9])]
    assert answers(first) == [SnapshotResponse(vote=first.after.vote, last=id_of(8), offset=9, round=4)]
    again = step(first.after, install(id_of(8), stop=9))
    assert commands(again, WriteChunk) == []
    assert answers(again) == answers(first)
    last = step(again.after, install(id_of(8), offset=9))
    assert taken(last) == [id_of(8)]
    assert last.after.incoming is None


@pytest.mark.row("SN-20")
def test_a_chunk_from_the_middle_is_answered_with_where_to_begin() -> None:
    turn = step(holder([1]), install(id_of(8), offset=9))
    assert commands(turn, WriteChunk) == []
    assert [answer.offset for answer in answers(turn) if isinstance(answer, SnapshotResponse)] == [0]


def test_another_snapshot_begins_again() -> None:
    half = after(holder([1]), install(id_of(8), stop=9))
    turn = step(half, install(id_of(9), stop=5))
    assert commands(turn, WriteChunk) == [WriteChunk(snapshot(id_of(9)), 0, BYTES[:5])]


@pytest.mark.row("SN-20")
def test_a_damaged_snapshot_is_not_installed_and_asked_for_again() -> None:
    other = BYTES.replace(b"was", b"had")
    turn = step(holder([1]), install(id_of(8), data=other, meta=snapshot(id_of(8))))
    assert taken(turn) == []
    assert commands(turn, Alarm)
    assert [answer.offset for answer in answers(turn) if isinstance(answer, SnapshotResponse)] == [0]
    assert taken(step(turn.after, install(id_of(8)))) == [id_of(8)]


def test_an_empty_machine_travels_too() -> None:
    assert taken(step(holder([1]), install(id_of(8), data=b""))) == [id_of(8)]


@pytest.mark.row("SN-25", "CL-03")
def test_a_write_whose_place_a_snapshot_passes_over_has_an_unknown_outcome() -> None:
    cluster = Cluster(1, 2, 3, config=replace(EAGER, snapshot_logs_since_last=5, keep_logs=0))
    cluster.elect(1)
    cluster.isolate(1)
    cluster.write("lost", first=99)
    cluster.run()
    cluster.fire(2)
    cluster.run()
    cluster.write(*"abcdefgh", to=2)
    cluster.run()
    cluster.heal()
    cluster.retry(2)
    cluster.retry(2)
    assert cluster[1].snapshot_last.index >= 5
    assert cluster.outcomes[99] == "unknown"
    assert cluster.nodes[1].machine == cluster.nodes[2].machine


# An append arrives: every case

CASES = {
    "a leadership that is over": (append_request(1, 2, id_of(3)), "outdated", [1, 1, 3]),
    "before the first entry": (append_request(1, 3, ORIGIN, entries([1, 1, 3])), 3, [1, 1, 3]),
    "behind the log": (append_request(1, 3, id_of(7, 3)), "refused", [1, 1, 3]),
    "at another entry": (append_request(1, 3, id_of(3, 2)), "refused", [1, 1, 3]),
    "all there": (append_request(1, 3, id_of(1), entries([1, 3], 2)), 3, [1, 1, 3]),
    "a part of what is there": (append_request(1, 3, id_of(1), entries([1], 2)), 2, [1, 1, 3]),
    "some there, some new": (append_request(1, 3, id_of(2), entries([3, 3, 3], 3)), 5, [1, 1, 3, 3, 3]),
    "one that differs": (append_request(1, 3, id_of(2), entries([2, 3], 3)), 4, [1, 1, 2, 3]),
    "all new": (append_request(1, 3, id_of(3, 3), entries([3], 4)), 4, [1, 1, 3, 3]),
    "nothing, at the end": (append_request(1, 3, id_of(3, 3)), 3, [1, 1, 3]),
}


@pytest.mark.row("LR-07", "LR-08", "CR-02", "CR-09")
@pytest.mark.parametrize("case", CASES)
def test_an_append_is_taken_or_refused_case_by_case(case: str) -> None:
    word, outcome, left = CASES[case]
    state = holder([1, 1, 3], committed=1)
    turn = step(state, word)
    assert terms(turn.after) == left
    answer = answers(turn)[0]
    match answer:
        case AppendAccepted(matched=matched):
            assert (matched.index, sends(turn)[0].durable) == (outcome, True)
        case AppendRefused():
            assert outcome == "refused"
            assert turn.after.log == state.log
        case _:
            assert outcome == "outdated"
            assert turn.after == state
    wrote = [command for command in storage(turn) if isinstance(command, (Append, Truncate))]
    assert bool(wrote) == (turn.after.log != state.log)


@pytest.mark.row("CR-14")
def test_what_is_purged_counts_as_present_and_a_conflict_right_after_it_is_repaired() -> None:
    state = after(holder([1]), install(id_of(4)))
    state = after(state, append_request(1, 3, id_of(4), entries([2, 2], 5)))
    turn = step(state, append_request(1, 3, id_of(2), [*entries([1, 1], 3), *entries([3], 5)]))
    assert terms(turn.after) == [3]
    assert answers(turn) == [AppendAccepted(vote=turn.after.vote, matched=id_of(5, 3), round=1)]


@pytest.mark.row("DS-12")
@pytest.mark.parametrize("given", [[entry(3)], [entry(2), entry(4)], [entry(2), entry(2)], [entry(0)]])
def test_an_append_with_a_gap_is_no_leaders(given: list[Entry]) -> None:
    state = after(holder([1]), append_request(1, 3, id_of(1)))
    assert step(state, append_request(1, 3, id_of(1), given)).after == state


@pytest.mark.row("CP-22", "SN-26")
def test_a_log_that_ends_before_its_snapshot_starts_again_after_it() -> None:
    meta = snapshot(id_of(5))
    disk = Disk(vote=Vote(2), log=log([1, 1]), snapshot=meta)
    turn = step(start(2, disk, EAGER), Boot())
    assert turn.after.log.last == id_of(5)
    written = disk
    for command in storage(turn):
        written = written.after(command)
    assert written == turn.after.disk, "the disk is mended too, not only the memory of it"
    assert (turn.after.committed, turn.after.applied) == (5, 5)
