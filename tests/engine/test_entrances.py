"""What callers pass to the engine is checked when it is built, and what the engine says of itself is a sentence."""

import pytest

from pyraft_lab.engine.commands import Alarm, Halt, SendChunk
from pyraft_lab.engine.events import Precondition, leadership, read_policy
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.membership import AddLearners, AddVoters, Batch, Membership, RemoveLearners, SetNodes, as_change
from pyraft_lab.engine.timers import ELECTION, HEARTBEAT, VOTE_LEASE, lease, retry, stopped_by
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.errors import ConfigError

THREE = Membership.of([1, 2, 3])


@pytest.mark.parametrize("named", [(1,), (1, 2, 3), "12", 7, (-1, 2), (1, 0)])
def test_a_leadership_is_a_term_and_a_node(named: object) -> None:
    with pytest.raises(ConfigError, match=r"only_if\.leader"):
        leadership("only_if.leader", named)
    assert leadership("only_if.leader", [3, 2]) == (3, 2)
    assert leadership("only_if.leader", None) is None


def test_a_precondition_names_what_could_never_hold() -> None:
    right = Precondition(leader=(1, 2), last=LogId(1, 2, 3))
    assert right.validated() is right
    with pytest.raises(ConfigError, match=r"only_if\.last"):
        Precondition(last=3).validated()  # type: ignore[arg-type]


def test_a_read_of_a_live_node_has_one_of_two_policies() -> None:
    assert read_policy("lease") == "lease"
    with pytest.raises(ConfigError, match=r"with_machine\(\) tells"):
        read_policy("local")  # type: ignore[arg-type]


def test_a_membership_has_node_ids_and_addresses() -> None:
    with pytest.raises(ConfigError, match="node"):
        Membership(configs=(frozenset({0, 1}),))
    with pytest.raises(ConfigError, match=r"nodes\[1\]"):
        Membership(configs=(frozenset({1}),), nodes={1: 7})  # type: ignore[dict-item]


def test_changes_in_batches_of_batches_come_in_their_order() -> None:
    inner = Batch((AddVoters({4: "four"}), RemoveLearners([5])))  # type: ignore[arg-type]
    change = as_change(Batch((AddLearners({6: ""}), inner, SetNodes({1: "one"}))))
    assert isinstance(change, Batch)
    assert [type(one) for one in change.changes] == [AddLearners, AddVoters, RemoveLearners, SetNodes]


@pytest.mark.parametrize("wrong", [Batch({AddVoters(frozenset({4}))}), Batch(7), "add 4"])  # type: ignore[arg-type]
def test_what_is_no_change_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError):
        as_change(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("offset", "data", "is_last"), [(2, b"abcd", False), (8, b"ab", True)])
def test_a_chunk_is_the_last_if_it_reaches_the_end_of_the_snapshot(offset: int, data: bytes, *, is_last: bool) -> None:
    meta = SnapshotMeta(LogId(1, 1, 9), THREE, LogId(0, 0, 1), size=10)
    chunk = SendChunk(dst=2, vote=Vote(1, 1, committed=True), meta=meta, offset=offset, length=4, round=3)
    request = chunk.request(data)
    assert (request.data, request.offset, request.done) == (data, offset, is_last)
    assert (request.vote, request.meta, request.round) == (chunk.vote, meta, 3)


def test_stopping_a_timer_stops_it_alone_and_number_zero_all_of_its_kind() -> None:
    running = (ELECTION, lease(3), lease(4), retry(2))
    assert list(stopped_by(lease(3), running)) == [lease(3)]
    assert list(stopped_by(lease(0), running)) == [lease(3), lease(4)]
    assert list(stopped_by(ELECTION, running)) == [ELECTION]
    assert list(stopped_by(HEARTBEAT, running)) == list(stopped_by(VOTE_LEASE, running)) == []
    assert list(stopped_by(retry(5), running)) == []


def test_alarms_and_halts_say_what_they_are_about() -> None:
    assert str(Alarm(3, "its log went back")) == "alarm about node 3: its log went back"
    assert str(Halt("two leaders in term 4")) == "halted: two leaders in term 4"
