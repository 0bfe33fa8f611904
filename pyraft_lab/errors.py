"""Every error that this library raises on purpose, in one tree.

::

    PyraftError
    ├── ConfigError          a setting or argument has an invalid value: field, value, rule
    ├── BadCommand           the command is invalid for the machine: why
    ├── UnknownNode          no such node: node, known
    ├── NotLeader            ask another node: leader (None: unknown), reason
    ├── OutcomeUnknown       the write may or may not take effect: why
    ├── Overloaded           too many requests are waiting: try again later
    ├── QuorumNotEnough      too few voters answered: got, needed
    ├── ChangeInProgress     the last membership is not committed yet: committed, effective
    ├── LearnerNotFound      a voter must be a learner first: node
    ├── EmptyMembership      a membership needs at least one voter
    ├── PreconditionFailed   a change's precondition does not hold: what, expected, actual
    ├── NotInitialized       the node belongs to no cluster yet
    ├── AlreadyInitialized   the node belongs to a cluster already
    ├── Timeout              a wait ended without result: what, seconds; of a client's call: tried, may_have_happened
    ├── NetworkFailed        the network or its broker cannot be reached: where, why
    ├── MissingExtra         an optional package is not installed: package, extra
    ├── NoProcesses          no process can be started here: advice
    ├── HistoryError         a history of client calls is invalid: what, line
    ├── PlanError            a fault plan is invalid: what
    ├── CapsuleError         a capsule cannot be opened: why
    │   └── CapsuleMismatch  the rebuilt run differs from the one in the capsule: event, why
    ├── RecordNotFound       a trace has no such record, event or moment: what
    ├── NotHeld              the gate holds no message with this id: id, known (network.gate)
    ├── UnknownAnswer        an exercise's question has no such answer: answer, known (exercises.mark)
    ├── Locked               a prediction was made already, and stays (exercises.prediction)
    ├── NoRule               a source is not the rule that was asked for (exercises.own_code)
    ├── RuleFailed           a learner's rule gave no answer: rule, why (exercises.guard)
    ├── BadNotebook          a file is no notebook that can be read: path, why (exercises.notebooks)
    ├── errors of commands   a command line prints these and ends (terminal)
    │   ├── BadArguments     no such command, or arguments that it does not take
    │   ├── CannotListen     a broker cannot listen there: host, port
    │   ├── NotHeardOf       a node that should receive the log is not up
    │   ├── NotRemoved       a node cannot be removed: node, why
    │   ├── FaultsNotApplied some nodes did not confirm faults in time: nodes, applied
    │   ├── NoNodeAcceptsFaults: no node that is up accepts faults: nodes
    │   ├── SeatRefused      the account has no seat in the room: account
    │   ├── RemovedFromRoom  another user removed this seat's node: node
    │   └── DemoFailed       a demonstration failed
    └── Fatal                the node has stopped for good
        ├── StorageFailed    its disk failed: what, todo
        │   └── WrongStorage it belongs to another node or cluster: place, owner, asked
        ├── DuplicateNode    another process runs with its id: node
        ├── Stopped          it was shut down
        └── Panicked         a bug, or your state machine raised: what

Each error has its facts as attributes; its message says what happened, then what to do.
"""

from collections.abc import Iterable, Mapping
from typing import Any


class PyraftError(Exception):
    """The root of the tree: ``except PyraftError`` catches everything this library raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy or pickle the error with its facts and message, so that process pools can return it.

        >>> import pickle
        >>> pickle.loads(pickle.dumps(NotLeader(3, node=1)))
        NotLeader('node 1 refuses: not the leader; ask node 3')
        """
        return _remade, (type(self), self.args, vars(self))


def shown(value: object, most: int = 200) -> str:
    """A value as text for a message: at most ``most`` characters, or its type if it has no readable ``repr``.

    >>> shown("a" * 1000, most=10), shown(10**5000)
    ("'aaaaaaaaa…", 'a value of type int')
    """
    try:
        words = repr(value)
    except Exception:  # noqa: BLE001 (somebody else's __repr__, or a number of too many digits)
        return f"a value of type {type(value).__name__}"
    return words if len(words) <= most else f"{words[:most]}…"


def _remade(kind: type[PyraftError], args: tuple[Any, ...], facts: Mapping[str, Any]) -> PyraftError:
    """An error made without its class's own ``__init__``, which would format the message a second time."""
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(facts)
    return error


class ConfigError(PyraftError, ValueError):
    """A setting or argument is invalid; raised before any work is done. ``field``, ``value`` and ``rule`` say why."""

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field}={shown(value)}: {rule}")
        self.field, self.value, self.rule = field, value, rule


class BadCommand(PyraftError, ValueError):
    """The command is invalid for the state machine; nothing has changed."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"the command was rejected: {why}; nothing has changed")


class UnknownNode(PyraftError, LookupError):
    """The cluster has no node with this id; ``known`` lists its node ids."""

    def __init__(self, node: object, known: Iterable[int]) -> None:
        self.node, self.known = node, tuple(sorted(known))
        super().__init__(f"there is no node {shown(node)}; known are {', '.join(map(str, self.known)) or 'none'}")


class NotLeader(PyraftError):
    """The request was refused before anything was appended: safe to send elsewhere (openraft ForwardToLeader)."""

    def __init__(self, leader: int | None, reason: str = "not the leader", *, node: int | None = None) -> None:
        self.leader, self.reason, self.node = leader, reason, node
        who = f"node {node} refuses" if node is not None else "refused"
        todo = "try again later" if leader is None else f"ask node {leader}"
        super().__init__(f"{who}: {reason}; {todo}")


class OutcomeUnknown(PyraftError):
    """The entry was appended, but its outcome is unknown: it may still commit, at most once (dissertation §6.3)."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"the outcome is unknown: {why}; read before you write again, or write through a session")


class Overloaded(PyraftError):
    """Refused before anything was appended, because ``waiting`` exceeds ``limit``; retry after ``retry_after`` s."""

    def __init__(
        self, waiting: int, limit: int, *, what: str = "bytes are uncommitted", retry_after: float | None = None
    ) -> None:
        self.waiting, self.limit, self.what, self.retry_after = waiting, limit, what, retry_after
        later = "later" if retry_after is None else f"in {retry_after:g} s"
        super().__init__(f"{waiting} {what} and {limit} are allowed; try again {later}")


class QuorumNotEnough(PyraftError):
    """A read found no quorum in time: the nodes in ``got`` answered, ``needed`` describes the quorum."""

    def __init__(self, got: Iterable[int], needed: object) -> None:
        self.got, self.needed = frozenset(got), needed
        heard = f"only {', '.join(f'node {node}' for node in sorted(self.got))}" if self.got else "no node"
        super().__init__(f"no quorum: {heard} answered, needed {needed}; try again when more nodes answer")


class ChangeInProgress(PyraftError):
    """One membership change at a time: the last one must commit first (dissertation §4.1, openraft InProgress).

    ``committed`` and ``effective`` are the indexes of the last committed membership and of the newest.
    """

    def __init__(self, committed: int, effective: int) -> None:
        self.committed, self.effective = committed, effective
        super().__init__(
            f"the last change of membership, entry {effective}, is not committed yet; wait for it "
            f"(the last committed membership is entry {committed})"
        )


class LearnerNotFound(PyraftError):
    """The node is not a learner: a new voter must be one first, and so must a voter before it is removed."""

    def __init__(self, node: int) -> None:
        self.node = node
        todo = f"add it with add_learner({node}) before it votes, take a voter out of the voters before you remove it"
        super().__init__(f"node {node} is not a learner of this cluster; {todo}")


class EmptyMembership(PyraftError, ValueError):
    """A membership needs at least one voter in every set."""

    def __init__(self) -> None:
        super().__init__("a membership needs at least one voter in every set; keep or add a voter")


class PreconditionFailed(PyraftError):
    """A precondition of a membership change does not hold: ``what`` is ``actual`` and not ``expected``."""

    def __init__(self, what: str, expected: object, actual: object) -> None:
        self.what, self.expected, self.actual = what, expected, actual
        super().__init__(f"{what} is {actual}, not {expected}; look at the present state and try again")


class NotInitialized(PyraftError):
    """The node belongs to no cluster yet."""

    def __init__(self, node: int) -> None:
        self.node = node
        super().__init__(f"node {node} belongs to no cluster; call initialize() on one node, or add it as a learner")


class AlreadyInitialized(PyraftError):
    """The node already has a log or a vote; initialize() works only on a new node."""

    def __init__(self, node: int, last: object, vote: object) -> None:
        self.node, self.last, self.vote = node, last, vote
        super().__init__(f"node {node} already belongs to a cluster (log {last}, vote {vote}); use change_membership()")


LAST_TRIED = 8
"""Attempts of a call that an error repeats, the newest ones."""


class Timeout(PyraftError, TimeoutError):
    """A wait ended after ``seconds`` without the result.

    For a client's call, ``tried`` lists the last attempts as (node, answer), with an empty answer if none came, and
    ``may_have_happened`` is false if the command was never sent or every node that got it refused it.
    """

    def __init__(
        self,
        what: str,
        seconds: float,
        *,
        tried: Iterable[tuple[int, str]] = (),
        may_have_happened: bool | None = None,
    ) -> None:
        self.what, self.seconds = what, seconds
        self.tried, self.may_have_happened = tuple((node, said) for node, said in tried), may_have_happened
        super().__init__(f"{what} did not happen within {seconds:g} s{self._told()}")

    def _told(self) -> str:
        """A client's attempts and their possible effect, as text."""
        if self.may_have_happened is None:
            return ""
        last = self.tried[-LAST_TRIED:]
        asked = "; ".join(f"node {node}: {said or 'has not answered yet'}" for node, said in last)
        if left := len(self.tried) - len(last):
            asked = f"{left} earlier attempts; {asked}"
        return (
            f" ({asked or 'no node is up'}); {'it may have happened' if self.may_have_happened else 'nothing changed'}"
        )


class NetworkFailed(PyraftError, ConnectionError):
    """The network or its broker cannot be reached at ``where``."""

    def __init__(self, where: str, why: str, *, advice: str = "check the address and that the broker runs") -> None:
        self.where, self.why = where, why
        super().__init__(f"{where} cannot be reached: {why}; {advice}")


class MissingExtra(PyraftError, ImportError):
    """An optional package is not installed; ``extra`` names the extra of this library that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f'{package} is not installed; pip install "pyraft-lab[{extra}]"')


class NoProcesses(PyraftError):
    """No process can be started here, as in a browser tab; ``advice`` says what to do instead."""

    def __init__(self, advice: str) -> None:
        self.advice = advice
        super().__init__(f"no process can be started here, as in a browser tab; {advice}")


class HistoryError(PyraftError, ValueError):
    """A history of client calls is invalid; ``line`` is the line number if it was read from a text."""

    def __init__(self, what: str, *, line: int | None = None) -> None:
        self.what, self.line = what, line
        super().__init__(what if line is None else f"line {line}: {what}")


class PlanError(PyraftError, ValueError):
    """A fault plan is invalid; ``what`` names the step and the rule."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"the plan cannot be used: {what}")


class CapsuleError(PyraftError, ValueError):
    """A capsule cannot be opened: its text is cut, damaged or of another format, or it needs unknown rules."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"the capsule cannot be opened: {why}")


class CapsuleMismatch(CapsuleError):
    """The rebuilt run differs from the one in the capsule; ``event`` is the first event where this shows."""

    def __init__(self, event: int, why: str) -> None:
        self.event = event
        super().__init__(f"the rebuilt run differs, first seen at event {event}: {why}")


class RecordNotFound(PyraftError, LookupError):
    """The trace or simulation has no such record, event or moment."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)


class Fatal(PyraftError):
    """The node has stopped for good; it handles no further requests."""


class StorageFailed(Fatal):
    """A disk error stopped the node: it never continues after one. ``what`` failed, ``todo`` says what to do."""

    def __init__(self, what: str, todo: str = "repair the disk and start the node again") -> None:
        self.what, self.todo = what, todo
        super().__init__(f"storage failed: {what}; the node has stopped; {todo}")


class WrongStorage(StorageFailed):
    """The storage at ``place`` belongs to node ``owner`` and cannot be used by node ``asked``."""

    def __init__(self, place: str, owner: str, asked: str) -> None:
        self.place, self.owner, self.asked = place, owner, asked
        super().__init__(
            f"{place} belongs to {owner} and cannot be used by {asked}",
            f"nothing was changed; start {owner} on it, or give {asked} its own storage (an empty one if it is new)",
        )


class DuplicateNode(Fatal):
    """Another process runs with this node id; two would vote twice, so the first one stays."""

    def __init__(self, node: int) -> None:
        self.node = node
        super().__init__(f"node {node} is running elsewhere in this cluster; stop it there or take another id")


class Stopped(Fatal):
    """The node was shut down."""

    def __init__(self, node: int) -> None:
        self.node = node
        super().__init__(f"node {node} has been shut down; start a new one on the same storage")


class Panicked(Fatal):
    """An exception stopped the node: a bug in it, in your state machine or in your rules."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"the node panicked: {what}; it has stopped")


def first_error(ended: BaseException) -> BaseException:
    """The error itself; of a group, which tasks that fail together raise, the first one in it."""
    return first_error(ended.exceptions[0]) if isinstance(ended, BaseExceptionGroup) else ended
