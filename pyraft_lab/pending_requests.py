"""Which request waits for which entry or read, how it ends, and what its caller gets: a response, or an error.

Both drivers, the simulation and the live node, execute the engine's commands in order and pass those that concern
requests through a :class:`PendingRequests`. It is a value: a fork of a simulated cluster forks its open requests too.

>>> from pyraft_lab.engine.log import Noop
>>> pending, _ = PendingRequests().after(Accepted((7,), LogId(2, 1, 5)))
>>> entry = Entry(LogId(2, 1, 5), Noop())
>>> pending, outcomes = pending.after(Apply((entry,)), results=["done"])
>>> outcomes[0].request, outcomes[0].result
(7, 'done')

Three other modules keep requests, each for its own part of a call: :mod:`pyraft_lab.runtime.requests` the futures of
the callers of one live node, by request id; :mod:`pyraft_lab.runtime.client_requests` the batches of clients, so that
each is proposed once; :mod:`pyraft_lab.client.state` what a client has sent and has no answer to.
"""

from collections.abc import Iterator, Sequence
from typing import Any, assert_never

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.engine.commands import (
    Accepted,
    AlreadyInitializedLog,
    Apply,
    Command,
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
    Refusal,
    Refuse,
    RestoreMachine,
    TooManyUncommitted,
    Truncate,
)
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.log import Configuration, Entry, Log
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.state import Leader, Role
from pyraft_lab.engine.types import ORIGIN, Index, LogId, NodeId, RequestId
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
    PyraftError,
    QuorumNotEnough,
)
from pyraft_lab.session import Answer, Batched, Expired, OutOfOrder, Rejected, Value

EMPTY = Log()
GRACE = 10
"""How many longest election timeouts a former leader waits for the outcome of its last entries."""


class OutcomeUnknowable(Struct, frozen=True, tag=True):
    """The entry was appended, but its outcome is not known here: it may have been applied or may yet be."""

    why: str


Failure = Refusal | OutcomeUnknowable


class WriteApplied(Struct, frozen=True, tag=True, gc=False):
    """The request's entry was applied; ``result`` is the machine's answer."""

    request: RequestId
    entry: Entry
    result: Any


class ReadAllowed(Struct, frozen=True, tag=True, gc=False):
    """The machine has applied everything the read must see: serve it now."""

    request: RequestId
    at: LogId


class OperationDone(Struct, frozen=True, tag=True, gc=False):
    """An operator's request is done; ``note`` says if there was nothing to do."""

    request: RequestId
    note: str = ""


class RequestFailed(Struct, frozen=True, tag=True):
    """The request was refused, or its outcome cannot be known here."""

    request: RequestId
    failure: Failure


Outcome = WriteApplied | ReadAllowed | OperationDone | RequestFailed


class WriteResponse(Struct, frozen=True, kw_only=True, gc=False):
    """A write's place in the log, the machine's result, and the membership if it was a membership change."""

    log_id: LogId
    value: Any = None
    membership: Membership | None = None


class Waiting(Struct, frozen=True, gc=False):
    """Request ``i`` waits for the entry at ``first.index + i`` of the leadership that ``first`` names."""

    requests: tuple[RequestId, ...]
    first: LogId

    def __iter__(self) -> Iterator[tuple[RequestId, LogId]]:
        for place, request in enumerate(self.requests, self.first.index):
            yield request, LogId(self.first.term, self.first.node, place)

    @property
    def last(self) -> Index:
        """The index of the last entry."""
        return self.first.index + len(self.requests) - 1

    def split(self, last: Index) -> tuple["Waiting", "Waiting"]:
        """The requests that wait for entries up to ``last``, and those that wait for later ones."""
        count = max(0, last + 1 - self.first.index)
        rest = LogId(self.first.term, self.first.node, self.first.index + count)
        return Waiting(self.requests[:count], self.first), Waiting(self.requests[count:], rest)


class PendingRequests(Struct, frozen=True, kw_only=True):
    """The open requests of one node; they do not survive a crash."""

    writes: tuple[Waiting, ...] = ()
    reads: tuple[Readable, ...] = ()
    applied: Index = 0

    def after(  # noqa: C901 (one line a command)
        self, command: Command, results: Sequence[Any] = (), *, log: Log = EMPTY
    ) -> tuple["PendingRequests", tuple[Outcome, ...]]:
        """The open requests after ``command``, and the outcomes of the requests that it completes.

        ``results`` are the machine's answers to the entries of an ``Apply``, in order; ``log`` is the log before
        the step, which an ``InstallSnapshot`` that conflicts with it empties.
        """
        match command:
            case Accepted(requests, first):
                return replace(self, writes=(*self.writes, Waiting(requests, first))), ()
            case Apply(entries):
                return self._applied(entries, results)
            case Truncate(after):
                return self._truncated(after)
            case InstallSnapshot(meta):
                return self._truncated(log.purge(meta.last).last.index)
            case RestoreMachine(meta):
                return self._passed_over(meta.last.index)
            case Readable():
                return _serve(replace(self, reads=(*self.reads, command)))
            case Refuse(requests, refusal):
                return self, tuple(_refused(request, refusal) for request in requests)
            case Done(request):
                return self, (OperationDone(request),)
            case _:
                return self, ()

    def is_orphaned(self, role: Role) -> bool:
        """Whether writes of an ended leadership still wait: this node may never learn their outcome."""
        return bool(self.writes) and not isinstance(role, Leader)

    def without_writes(self) -> tuple["PendingRequests", tuple[Outcome, ...]]:
        """Give up the writes of an ended leadership: a node that was removed meanwhile never learns their outcome.

        >>> pending, _ = PendingRequests().after(Accepted((7,), LogId(2, 1, 5)))
        >>> [outcome.failure.why for outcome in pending.without_writes()[1]]
        ['node 1 no longer leads term 2, and was not told what became of entry 5']
        """
        ended = tuple(
            RequestFailed(request, _outcome_unknown(id)) for waiting in self.writes for request, id in waiting
        )
        return replace(self, writes=()), ended

    @property
    def waiting(self) -> tuple[RequestId, ...]:
        """Every open request, writes first; a driver fails them when its node stops."""
        writes = (request for waiting in self.writes for request in waiting.requests)
        return (*writes, *(request for read in self.reads for request in read.requests))

    def _applied(
        self, entries: Sequence[Entry], results: Sequence[Any]
    ) -> tuple["PendingRequests", tuple[Outcome, ...]]:
        assert len(results) == len(entries), "the machine returns one result per entry"
        last = entries[-1].index if entries else self.applied
        due, later = self._split(last)
        ended = tuple(outcome for part in due for outcome in _answers(part, entries, results))
        pending, served = _serve(replace(self, writes=later, applied=last))
        return pending, (*ended, *served)

    def _truncated(self, after: Index) -> tuple["PendingRequests", tuple[Outcome, ...]]:
        kept, lost = self._split(after)
        ended = tuple(RequestFailed(request, _replaced(id)) for waiting in lost for request, id in waiting)
        return replace(self, writes=kept), ended

    def _passed_over(self, last: Index) -> tuple["PendingRequests", tuple[Outcome, ...]]:
        due, later = self._split(last)
        ended = tuple(
            RequestFailed(request, OutcomeUnknowable(f"a snapshot passed over entry {id}"))
            for part in due
            for request, id in part
        )
        pending, served = _serve(replace(self, writes=later, applied=last))
        return pending, (*ended, *served)

    def _split(self, last: Index) -> tuple[tuple[Waiting, ...], tuple[Waiting, ...]]:
        """The requests that wait for an entry up to ``last``, and the others; they are in order of their entries."""
        count = 0
        while count < len(self.writes) and self.writes[count].first.index <= last:
            count += 1
        due, later = self.writes[:count], self.writes[count:]
        if due and due[-1].last > last:
            part, rest = due[-1].split(last)
            return (*due[:-1], part), (rest, *later)
        return due, later


def is_last_step(membership: Membership, config: Config) -> bool:
    """Whether a change ends with this membership; after a joint one its leader takes a second step by itself."""
    return not (membership.is_joint and config.auto_leave)


def grace(config: Config) -> float:
    """Seconds after which a former leader gives up its open writes (:meth:`~PendingRequests.is_orphaned`)."""
    return GRACE * config.election_timeout[1]


def _answers(due: Waiting, entries: Sequence[Entry], results: Sequence[Any]) -> Iterator[Outcome]:
    """The outcome of each request: the result of its own entry, or that another leader's entry replaced it."""
    term, node, index = due.first.term, due.first.node, due.first.index
    for place, request in enumerate(due.requests, index - entries[0].index):
        if place >= 0 and (id := entries[place].id).term == term and id.node == node:
            yield WriteApplied(request, entries[place], results[place])
        else:
            yield RequestFailed(request, _replaced(LogId(term, node, entries[0].index + place)))


def _serve(pending: PendingRequests) -> tuple[PendingRequests, tuple[Outcome, ...]]:
    """Complete the reads whose index is applied."""
    ready = [read for read in pending.reads if read.at.index <= pending.applied]
    if not ready:
        return pending, ()
    waiting = tuple(read for read in pending.reads if read.at.index > pending.applied)
    return replace(pending, reads=waiting), tuple(ReadAllowed(one, read.at) for read in ready for one in read.requests)


def respond(outcome: Outcome, node: NodeId) -> WriteResponse:
    """The response of ``node`` to its caller; raises the error of a failed request."""
    match outcome:
        case WriteApplied(entry=entry, result=answer):
            value = answer.value if type(answer) is Value else value_of(answer)
            membership = entry.payload.membership if type(entry.payload) is Configuration else None
            return WriteResponse(log_id=entry.id, value=value, membership=membership)
        case RequestFailed(_, failure):
            raise to_error(failure, node)
        case ReadAllowed(_, at):
            return WriteResponse(log_id=at)
        case OperationDone():
            return WriteResponse(log_id=ORIGIN)
        case _:
            assert_never(outcome)


def value_of(answer: Answer) -> Any:
    """The value in a machine's answer; of a batch, those of its commands in order.

    Raises ``BadCommand`` where the machine refused the command, and ``OutcomeUnknown`` where the session has expired.

    >>> value_of(Value(3))
    3
    """
    match answer:
        case Value(value):  # the most frequent case comes first
            return value
        case Batched(values):
            return values
        case Rejected(why):
            raise BadCommand(why)
        case Expired():
            raise OutcomeUnknown("its session has expired")
        case OutOfOrder(serial):
            raise BadCommand(f"serial {serial} of its session arrived before the previous one")
        case _:
            assert_never(answer)


def to_error(failure: Failure, node: NodeId) -> PyraftError:
    """The error that a caller of ``node`` gets for a failure."""
    match failure:
        case OutcomeUnknowable(why):
            return OutcomeUnknown(why)
        case NotLeading(_, Reason.UNINITIALIZED):
            return NotInitialized(node)
        case NotLeading(leader, reason):
            return NotLeader(leader, reason.value, node=node)
        case TooManyUncommitted(waiting, limit):
            return Overloaded(waiting, limit)
        case NoQuorum(got, membership):
            return QuorumNotEnough(got, f"a majority of {membership}")
        case _:
            return _membership_error(failure, node)


def _membership_error(
    failure: InProgress
    | NoSuchLearner
    | NoVoters
    | PreconditionNotMet
    | AlreadyInitializedLog
    | NotMember
    | NothingToDo,
    node: NodeId,
) -> PyraftError:
    match failure:
        case InProgress(committed, effective):
            return ChangeInProgress(committed.index, effective.index)
        case NoSuchLearner(learner):
            return LearnerNotFound(learner)
        case NoVoters():
            return EmptyMembership()
        case PreconditionNotMet(what, expected, actual):
            return PreconditionFailed(what, expected, actual)
        case AlreadyInitializedLog(last, vote):
            return AlreadyInitialized(node, last, vote)
        case NotMember(other, membership):
            return PreconditionFailed(f"node {other}", "a voter of it", f"outside of {membership}")
        case NothingToDo(why):
            return PreconditionFailed("the wanted state", "something new", f"what stands already: {why}")
        case _:
            assert_never(failure)


def _refused(request: RequestId, refusal: Refusal) -> Outcome:
    return OperationDone(request, refusal.why) if isinstance(refusal, NothingToDo) else RequestFailed(request, refusal)


def _replaced(id: LogId) -> OutcomeUnknowable:
    return OutcomeUnknowable(f"entry {id.index} of term {id.term} was replaced by another leader's")


def _outcome_unknown(id: LogId) -> OutcomeUnknowable:
    return OutcomeUnknowable(
        f"node {id.node} no longer leads term {id.term}, and was not told what became of entry {id.index}"
    )
