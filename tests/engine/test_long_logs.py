"""Long logs, slow followers, many learners: what must not grow with the length of the log."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Apply, Purge, SendChunk, TakeSnapshot
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import ChangeMembership, SnapshotBuilt
from pyraft_lab.engine.log import Entry, Log, Noop, SnapshotMeta
from pyraft_lab.engine.membership import AddLearners, Membership
from pyraft_lab.engine.messages import AppendAccepted, AppendRequest
from pyraft_lab.engine.state import Replicate
from pyraft_lab.engine.types import LogId, Vote
from tests.engine.builders import (
    EAGER,
    accepted,
    after,
    all_stored,
    append_request,
    commands,
    entries,
    follower,
    id_of,
    leader,
    progress,
    propose,
    sends,
    sent,
    streaming,
)
from tests.engine.cluster import Cluster


def long(length: int, term: int = 1) -> Log:
    return Log().append([Entry(LogId(term, 1, index), Noop()) for index in range(1, length + 1)])


def calls(act: Callable[[], object]) -> int:
    """How many functions an act calls: a cost that no clock disturbs."""
    count = 0

    def note(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.row("HL-01")
def test_a_follower_far_behind_catches_up_within_its_window() -> None:
    config = replace(EAGER, max_append_entries=1000, max_inflight=4, snapshot_logs_since_last=None)
    cluster = Cluster(1, 2, 3, logs={1: [1] * 20_000, 2: [1] * 20_000}, config=config)
    cluster.crash(3)
    cluster.elect(1)
    cluster.restart(3)
    waiting = 0
    cluster.retry()
    for turn in cluster.steps:
        pace = progress(turn.after, 3).state if turn.after.id == 1 and turn.after.leader == 1 else None
        waiting = max(waiting, len(pace.inflight)) if isinstance(pace, Replicate) else waiting
    assert waiting == 4
    assert cluster[3].log == cluster[1].log
    assert len([turn for turn in cluster.steps if turn.after.id == 3 and sent(turn, AppendAccepted)]) < 40


@pytest.mark.row("HL-02", "SN-07")
def test_a_follower_behind_the_purged_part_gets_one_snapshot_and_the_tail() -> None:
    config = Config(snapshot_logs_since_last=10, keep_logs=2, pre_vote=False)
    cluster = Cluster(1, 2, 3, config=config)
    cluster.crash(3)
    cluster.elect(1)
    for number in range(1, 26):
        cluster.write(f"x{number}", first=number)
        cluster.run()
    cluster.restart(3)
    cluster.retry()
    chunks = commands(cluster.steps, SendChunk)
    assert [chunk.dst for chunk in chunks] == [3]
    assert cluster[3].log.start == chunks[0].meta.last
    assert len(cluster[3].log) > 0
    assert cluster.nodes[3].machine == cluster.nodes[1].machine


@pytest.mark.row("HL-03")
def test_acknowledging_does_not_wait_for_applying() -> None:
    config = replace(EAGER, max_apply_entries=10, snapshot_logs_since_last=50, keep_logs=0)
    turn = step(follower(2, config=config), append_request(1, 1, id_of(0, (0, 0)), entries([1] * 100), commit=100))
    assert [type(send.message) for send in sends(turn)] == [AppendAccepted]
    assert [len(piece.entries) for piece in commands(turn, Apply)] == [10] * 10
    (order,) = commands(turn, TakeSnapshot)
    assert commands(turn, Purge) == [], "nothing is forgotten before the machine has made its snapshot"
    meta = SnapshotMeta(order.last, order.membership)
    assert commands(step(turn.after, SnapshotBuilt(meta)), Purge) == [Purge(id_of(100))]


@pytest.mark.row("HL-05")
def test_the_index_of_terms_is_as_long_as_the_terms_and_not_as_the_log() -> None:
    log = Log()
    for term in range(1, 11):
        first = log.last.index + 1
        log = log.append([Entry(LogId(term, 1, index), Noop()) for index in range(first, first + 20_000)])
    assert len(log.runs) == 10
    assert log.last_no_newer(LogId(4, 1, 200_000)).index == 80_000
    assert calls(lambda: log.last_no_newer(LogId(4, 1, 200_000))) < 50


@pytest.mark.row("HL-08")
def test_after_a_long_silence_a_burst_goes_out_from_the_right_place() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    for _ in range(50):
        cluster.beat()
    for number in range(1, 40):
        cluster.write(f"x{number}", first=number)
    firsts = [flight.message.prev.index for flight in cluster.flying if isinstance(flight.message, AppendRequest)]
    cluster.run()
    assert sorted(firsts) == sorted([*range(1, 40)] * 2)
    assert len(cluster.nodes[3].machine) == 39


@pytest.mark.row("HL-09", "MB-21")
def test_a_learner_that_joins_in_the_middle_of_writes_gets_them_all() -> None:
    cluster = Cluster(1, 2, 3, 4, membership=Membership.of({1, 2, 3}))
    cluster.elect(1)
    for number in range(1, 30):
        cluster.write(f"x{number}", first=number)
        if number == 10:
            cluster.feed(1, ChangeMembership(request=99, change=AddLearners(frozenset({4}))))
    assert progress(cluster[1], 4).matched == 0
    cluster.run()
    assert cluster.nodes[4].machine == cluster.nodes[1].machine
    assert len(cluster.nodes[4].machine) == 29


@pytest.mark.row("HL-10")
def test_five_voters_decide_and_forty_five_learners_listen() -> None:
    cluster = Cluster(*range(1, 51), membership=Membership.of(range(1, 6), learners=range(6, 51)))
    cluster.isolate(*range(40, 51))
    cluster.fire(1)
    cluster.run()
    cluster.write("x")
    cluster.run(lambda flight: flight.dst > 5 or flight.src > 5)
    assert cluster.outcomes[1] == cluster[1].log.entry(2)
    cluster.run()
    assert all(cluster.nodes[node].machine == [b"x"] for node in range(1, 40))
    assert all(cluster.nodes[node].machine == [] for node in range(40, 51))


@pytest.mark.row("HL-11")
def test_a_step_costs_the_same_whatever_the_length_of_the_log() -> None:
    costs = []
    for length in (300, 100_044):  # both end within a chunk, at the same place
        state = leader(1, [1])
        grown = replace(state, disk=replace(state.disk, vote=Vote(1, 1, committed=True), log=long(length)))
        grown = streaming(replace(grown, stored=grown.log.last, committed=length, applied=length))

        def write(state=grown) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
            sending = after(state, propose("x"))
            after(sending, all_stored(sending), accepted(2, sending), accepted(3, sending))

        costs.append(calls(write))
    assert costs[0] == costs[1]
