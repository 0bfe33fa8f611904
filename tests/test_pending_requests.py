"""Who waits for what: every request ends once, with the outcome of its own entry."""

import pytest

from pyraft_lab.engine.commands import (
    Accepted,
    AlreadyInitializedLog,
    Apply,
    Done,
    InProgress,
    InstallSnapshot,
    NoQuorum,
    NoSuchLearner,
    NothingToDo,
    NotLeading,
    NotMember,
    NoVoters,
    PreconditionNotMet,
    Readable,
    Reason,
    Refuse,
    RestoreMachine,
    TooManyUncommitted,
    Truncate,
)
from pyraft_lab.engine.log import Configuration, Entry, Log, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import ORIGIN, LogId, Vote
from pyraft_lab.errors import (
    AlreadyInitialized,
    BadCommand,
    ChangeInProgress,
    EmptyMembership,
    LearnerNotFound,
    NotInitialized,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    PreconditionFailed,
    QuorumNotEnough,
)
from pyraft_lab.pending_requests import (
    Failure,
    OperationDone,
    OutcomeUnknowable,
    PendingRequests,
    ReadAllowed,
    RequestFailed,
    WriteApplied,
    WriteResponse,
    respond,
    to_error,
    value_of,
)
from pyraft_lab.session import Answer, Batched, Expired, OutOfOrder, Rejected, Value


def entries(*indexes: int, term: int = 1) -> tuple[Entry, ...]:
    return tuple(Entry(LogId(term, 1, index), Normal(b"%d" % index)) for index in indexes)


def waiting(*requests: int, first: int = 1, term: int = 1) -> PendingRequests:
    return PendingRequests().after(Accepted(requests, LogId(term, 1, first)))[0]


def test_a_request_gets_the_result_of_its_own_entry() -> None:
    pending, outcomes = waiting(10, 11, 12).after(Apply(entries(1, 2)), results=["a", "b"])
    assert [(one.request, one.result) for one in outcomes if isinstance(one, WriteApplied)] == [(10, "a"), (11, "b")]
    assert pending.waiting == (12,)


def test_another_entry_at_its_index_leaves_the_outcome_unknown() -> None:
    pending, outcomes = waiting(10).after(Apply(entries(1, term=2)), results=["a"])
    assert outcomes == (RequestFailed(10, OutcomeUnknowable("entry 1 of term 1 was replaced by another leader's")),)
    assert pending.waiting == ()


def test_truncation_ends_the_waiting_after_it_only() -> None:
    pending, outcomes = waiting(10, 11, 12, first=5).after(Truncate(5))
    assert [one.request for one in outcomes] == [11, 12]
    assert pending.waiting == (10,)


def test_a_snapshot_that_passes_over_an_entry_leaves_its_outcome_unknown() -> None:
    meta = SnapshotMeta(last=LogId(1, 1, 6), membership=Membership.of({1}))
    pending, outcomes = waiting(10, 11, 12, first=5).after(RestoreMachine(meta))
    assert [one.request for one in outcomes] == [10, 11]
    assert (pending.waiting, pending.applied) == ((12,), 6)


def test_a_snapshot_of_another_history_ends_the_waiting_for_what_was_beyond_it() -> None:
    log = Log().append(entries(1, 2, 3))
    other = SnapshotMeta(last=LogId(2, 2, 2), membership=Membership.of({1}))
    pending, outcomes = waiting(10, 11, 12).after(InstallSnapshot(other), log=log)
    assert outcomes == (RequestFailed(12, OutcomeUnknowable("entry 3 of term 1 was replaced by another leader's")),)
    assert pending.waiting == (10, 11)


def test_a_snapshot_of_the_same_history_leaves_what_is_beyond_it() -> None:
    log = Log().append(entries(1, 2, 3))
    same = SnapshotMeta(last=LogId(1, 1, 2), membership=Membership.of({1}))
    pending = waiting(10, 11, 12)
    assert pending.after(InstallSnapshot(same), log=log) == (pending, ())


def test_a_read_waits_until_its_index_is_applied() -> None:
    pending, outcomes = PendingRequests().after(Readable((20,), LogId(1, 1, 2)))
    assert outcomes == ()
    assert pending.waiting == (20,)
    pending, outcomes = pending.after(Apply(entries(1, 2)), results=[None, None])
    assert outcomes == (ReadAllowed(20, LogId(1, 1, 2)),)
    assert pending.after(Readable((21,), LogId(1, 1, 2)))[1] == (ReadAllowed(21, LogId(1, 1, 2)),)


def test_refusals_and_acknowledgements_end_requests_at_once() -> None:
    refusal = NotLeading(2, Reason.NOT_LEADER)
    assert PendingRequests().after(Refuse((1, 2), refusal))[1] == (RequestFailed(1, refusal), RequestFailed(2, refusal))
    assert PendingRequests().after(Refuse((1,), NothingToDo("all there")))[1] == (OperationDone(1, "all there"),)
    assert PendingRequests().after(Done(3))[1] == (OperationDone(3),)


def test_what_concerns_nobody_changes_nothing() -> None:
    pending = waiting(1)
    assert pending.after(Apply(()), results=[]) == (pending, ())


@pytest.mark.parametrize(
    ("failure", "error", "words"),
    [
        (OutcomeUnknowable("gone"), OutcomeUnknown, "gone"),
        (NotLeading(2, Reason.NOT_LEADER), NotLeader, "node 3 refuses: not the leader; ask node 2"),
        (NotLeading(None, Reason.LEASE), NotLeader, "try again later"),
        (NotLeading(None, Reason.UNINITIALIZED), NotInitialized, "node 3 belongs to no cluster"),
        (TooManyUncommitted(9, 8), Overloaded, "9 bytes"),
        (NoQuorum((1,), Membership.of({1, 2, 3})), QuorumNotEnough, "1 answered"),
        (InProgress(LogId(1, 1, 1), LogId(1, 1, 2)), ChangeInProgress, "entry 2"),
        (NoSuchLearner(4), LearnerNotFound, "node 4"),
        (NoVoters(), EmptyMembership, "at least one voter"),
        (PreconditionNotMet("last", "1", "2"), PreconditionFailed, "last is 2, not 1"),
        (AlreadyInitializedLog(LogId(1, 1, 1), Vote(1)), AlreadyInitialized, "T1-N1.1"),
        (NotMember(9, Membership.of({1})), PreconditionFailed, "node 9 is outside"),
        (NothingToDo("all there"), PreconditionFailed, "all there"),
    ],
)
def test_every_failure_has_its_typed_error(failure: Failure, error: type[Exception], words: str) -> None:
    made = to_error(failure, node=3)
    assert type(made) is error
    assert words in str(made)


def test_a_response_says_where_the_write_stands_and_what_the_machine_returned() -> None:
    (entry,) = entries(3)
    assert respond(WriteApplied(7, entry, Value("old")), 1) == WriteResponse(log_id=entry.id, value="old")
    assert respond(WriteApplied(7, entry, Batched([1, 2])), 1) == WriteResponse(log_id=entry.id, value=[1, 2])


def test_a_response_to_a_change_of_the_membership_holds_the_membership() -> None:
    changed = Membership.of({1, 2, 3})
    entry = Entry(LogId(1, 1, 4), Configuration(changed))
    assert respond(WriteApplied(7, entry, Value()), 1) == WriteResponse(log_id=entry.id, membership=changed)


def test_a_response_to_a_read_says_what_it_has_to_see_and_one_to_an_operation_nothing() -> None:
    assert respond(ReadAllowed(20, LogId(1, 1, 2)), 1) == WriteResponse(log_id=LogId(1, 1, 2))
    assert respond(OperationDone(3), 1) == WriteResponse(log_id=ORIGIN)


def test_a_request_that_failed_raises_its_error_instead() -> None:
    with pytest.raises(NotLeader, match="node 3 refuses"):
        respond(RequestFailed(7, NotLeading(2, Reason.NOT_LEADER)), 3)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Rejected("no such op"), BadCommand, "no such op"),
        (Expired(9), OutcomeUnknown, "its session has expired"),
        (OutOfOrder(4), BadCommand, "serial 4"),
    ],
)
def test_an_answer_without_a_value_raises_what_that_means(answer: Answer, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        value_of(answer)
