"""The bounds of one search: a budget for every kind of event, so that the search can cover all states within them."""

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.arguments import bounded_list, flag, integer
from pyraft_lab.check.explore.explorer_state import (
    Action,
    Ask,
    Compact,
    Crash,
    Expire,
    Reconfigure,
    Submit,
    Sync,
    Transfer,
    counted,
    written,
)
from pyraft_lab.check.explore.leases import Round, may_run_out
from pyraft_lab.check.explore.server_state import ServerState
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.membership import Change, ChangeLike, as_change
from pyraft_lab.engine.state import Leader
from pyraft_lab.engine.timers import TimerKind
from pyraft_lab.engine.types import Index, NodeId, Term

_WORDS: Mapping[str, tuple[str, str]] = {
    "timeouts": ("timeout", "timeouts"),
    "heartbeats": ("round of heartbeats", "rounds of heartbeats"),
    "retries": ("retry", "retries"),
    "leases": ("expired lease", "expired leases"),
    "writes": ("write", "writes"),
    "resends": ("write sent again", "writes sent again"),
    "reads": ("read", "reads"),
    "lease_reads": ("read by lease", "reads by lease"),
    "transfers": ("leadership transfer", "leadership transfers"),
    "crashes": ("crash", "crashes"),
    "duplicates": ("duplicated message", "duplicated messages"),
    "snapshots": ("snapshot", "snapshots"),
}
"""What a search counts: one of it, and many."""
MOST_CHANGES = 100
"""The most membership changes of one search."""


class Bounds(Struct, frozen=True, kw_only=True):
    """How often each kind of event may happen; the search is exhaustive within this. Deliveries and losses are free.

    ``timeouts`` counts election timers that fire, ``heartbeats`` heartbeat rounds, ``retries`` and ``leases`` the other
    timers (``leases``: leases, vote leases, check-quorum, transfers that take too long), ``writes`` clients' proposals,
    ``resends`` writes that a client sends once more because it got no answer, ``reads`` reads by index at any server,
    ``lease_reads`` those that a leader answers by its lease (which needs a ``Config`` with ``vote_lease``),
    ``transfers`` of leadership to any voter, ``crashes`` restarts, ``duplicates`` second deliveries of a message,
    ``snapshots`` requests to build one; each of ``changes`` is requested at most once. States with a term beyond
    ``terms`` or a log longer than ``entries`` are left out. ``depth`` limits the length of paths, ``worlds`` ends the
    search. Without ``instant_disk`` writes become durable one by one, and a crash loses those that are not.

    >>> print(Bounds(timeouts=2, writes=1, crashes=1))
    2 timeouts, 1 write, 1 crash
    """

    timeouts: int = 1
    heartbeats: int = 0
    retries: int = 0
    leases: int = 0
    writes: int = 0
    resends: int = 0
    reads: int = 0
    lease_reads: int = 0
    transfers: int = 0
    crashes: int = 0
    duplicates: int = 0
    snapshots: int = 0
    changes: tuple[ChangeLike, ...] = ()
    terms: Term = 1_000
    entries: Index = 1_000
    depth: int = 1_000
    worlds: int = 5_000_000
    instant_disk: bool = True

    def __post_init__(self) -> None:
        for name in (*_WORDS, "depth"):
            integer(name, getattr(self, name))
        for name in ("terms", "entries", "worlds"):
            integer(name, getattr(self, name), 1)
        flag("instant_disk", self.instant_disk)
        for change in bounded_list("changes", self.changes, MOST_CHANGES):
            as_change(change)

    def __str__(self) -> str:
        """The bounds in words: ``2 timeouts, 1 write, 1 crash``."""
        counts = ((getattr(self, name), words) for name, words in _WORDS.items())
        said = [f"{count} {words[count != 1]}" for count, words in counts if count]
        said += [f"a change of the membership to {change}" for change in self.changes]
        said += [] if self.instant_disk else ["writes become durable one by one"]
        return ", ".join(said) or "only messages"


class Budget(Struct, frozen=True, kw_only=True, cache_hash=True):
    """What is left of it; ``written`` and ``asked`` number the writes and reads so far."""

    timeouts: int
    heartbeats: int
    retries: int
    leases: int
    writes: int
    resends: int
    reads: int
    lease_reads: int
    transfers: int
    crashes: int
    duplicates: int
    snapshots: int
    changes: tuple[Change, ...]
    has_sessions: bool = False
    written: int = 0
    asked: int = 0

    def pay(self, name: str) -> "Budget | None":
        """The budget after one more of ``name``; ``None`` where there is none left."""
        left: int = getattr(self, name)
        return replace(self, **{name: left - 1}) if left else None


def full_budget(bounds: Bounds) -> Budget:
    """The budget with which a search starts."""
    return Budget(
        timeouts=bounds.timeouts,
        heartbeats=bounds.heartbeats,
        retries=bounds.retries,
        leases=bounds.leases,
        writes=bounds.writes,
        resends=bounds.resends,
        reads=bounds.reads,
        lease_reads=bounds.lease_reads,
        transfers=bounds.transfers,
        has_sessions=bounds.resends > 0,
        crashes=bounds.crashes,
        duplicates=bounds.duplicates,
        snapshots=bounds.snapshots,
        changes=tuple(as_change(change) for change in bounds.changes),
    )


def is_within(bounds: Bounds, local: ServerState) -> bool:
    """Whether a server is neither in too late a term nor has too long a log."""
    return local.state.term <= bounds.terms and local.state.log.last.index <= bounds.entries


def choices(local: ServerState, budget: Budget, over: frozenset[Round]) -> Iterator[tuple[Action, Budget]]:
    """What may happen to a server besides deliveries, each with the budget that then is left.

    ``over`` are the rounds whose leases are over; no vote lease runs out before.
    """
    if local.queue:
        yield Sync(local.state.id), budget
    if not local.state.halted:
        yield from _timers(local, budget, over)
        yield from _requests(local, budget)
    left = budget.pay("crashes")
    if left is not None:
        yield Crash(local.state.id), left


_BUDGETS = {
    TimerKind.ELECTION: "timeouts",
    TimerKind.HEARTBEAT: "heartbeats",
    TimerKind.RETRY: "retries",
    TimerKind.VOTE_LEASE: "leases",
    TimerKind.LEASE: "leases",
    TimerKind.QUORUM: "leases",
    TimerKind.TRANSFER: "leases",
}


def _timers(local: ServerState, budget: Budget, over: frozenset[Round]) -> Iterator[tuple[Action, Budget]]:
    for timer in sorted(local.timers):
        left = budget.pay(_BUDGETS[timer.kind])
        if left is not None and may_run_out(timer, local.heard, over):
            yield Expire(local.state.id, timer), left


_POLICIES: Mapping[str, ReadPolicy] = {"reads": "index", "lease_reads": "lease"}


def _requests(local: ServerState, budget: Budget) -> Iterator[tuple[Action, Budget]]:
    """What clients and operators ask of a server."""
    node = local.state.id
    left = budget.pay("snapshots")
    if left is not None and local.state.applied > local.state.snapshot_last.index:
        yield Compact(node), left
    for name, policy in _POLICIES.items():
        left = budget.pay(name)
        if left is not None:
            yield Ask(node, budget.asked + 1, policy), replace(left, asked=budget.asked + 1)
    if isinstance(local.state.role, Leader):
        yield from _writes(node, budget)
        yield from _operations(local, budget)


def _writes(node: NodeId, budget: Budget) -> Iterator[tuple[Action, Budget]]:
    command = counted if budget.has_sessions else written
    left = budget.pay("writes")
    if left is not None:
        yield Submit(node, command(budget.written + 1)), replace(left, written=budget.written + 1)
    left = budget.pay("resends")
    if left is not None:
        for number in range(1, budget.written + 1):
            yield Submit(node, command(number), again=True), left


def _operations(local: ServerState, budget: Budget) -> Iterator[tuple[Action, Budget]]:
    """What operators ask of a leader."""
    node = local.state.id
    left = budget.pay("transfers")
    if left is not None:
        for to in sorted(local.state.membership.voters - {node}):
            yield Transfer(node, to), left
    for place, change in enumerate(budget.changes):
        rest = budget.changes[:place] + budget.changes[place + 1 :]
        yield Reconfigure(node, change), replace(budget, changes=rest)
