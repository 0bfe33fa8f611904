"""The bounds of one search: a budget for every kind of event, so that the search can cover all states within them."""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.arguments import at_least
from pyraft_lab.check.explore.explorer_state import Action, Compact, Crash, Expire, Reconfigure, Submit, Sync, written
from pyraft_lab.check.explore.server_state import ServerState
from pyraft_lab.engine.membership import Change, ChangeLike, as_change
from pyraft_lab.engine.state import Leader
from pyraft_lab.engine.timers import TimerKind
from pyraft_lab.engine.types import Index, Term

_COUNTS = ("timeouts", "heartbeats", "retries", "leases", "writes", "crashes", "duplicates", "snapshots", "depth")


class Bounds(Struct, frozen=True, kw_only=True):
    """How often each kind of event may happen; the search is exhaustive within this. Deliveries and losses are free.

    ``timeouts`` counts election timers that fire, ``heartbeats`` heartbeat rounds, ``retries`` and ``leases`` the other
    timers (``leases``: leases, vote leases and check-quorum), ``writes`` clients' proposals, ``crashes`` restarts,
    ``duplicates`` second deliveries of a message, ``snapshots`` requests to build one; each of ``changes`` is requested
    at most once. States with a term beyond ``terms`` or a log longer than ``entries`` are left out. ``depth`` limits
    the length of paths, ``worlds`` ends the search. Without ``instant_disk`` writes become durable one by one, and a
    crash loses those that are not.
    """

    timeouts: int = 1
    heartbeats: int = 0
    retries: int = 0
    leases: int = 0
    writes: int = 0
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
        for name in _COUNTS:
            at_least(name, getattr(self, name), 0)
        for name in ("terms", "entries", "worlds"):
            at_least(name, getattr(self, name), 1)


class Budget(Struct, frozen=True, kw_only=True, cache_hash=True):
    """What of it is left; ``written`` counts the writes so far, so that each says something else."""

    timeouts: int
    heartbeats: int
    retries: int
    leases: int
    writes: int
    crashes: int
    duplicates: int
    snapshots: int
    changes: tuple[Change, ...]
    written: int = 0

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
        crashes=bounds.crashes,
        duplicates=bounds.duplicates,
        snapshots=bounds.snapshots,
        changes=tuple(as_change(change) for change in bounds.changes),
    )


def is_within(bounds: Bounds, local: ServerState) -> bool:
    """Whether a server is neither in too late a term nor has too long a log."""
    return local.state.term <= bounds.terms and local.state.log.last.index <= bounds.entries


def choices(local: ServerState, budget: Budget) -> Iterator[tuple[Action, Budget]]:
    """What may happen to a server besides deliveries, each with the budget that then is left."""
    if local.queue:
        yield Sync(local.state.id), budget
    if not local.state.halted:
        yield from _timers(local, budget)
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


def _timers(local: ServerState, budget: Budget) -> Iterator[tuple[Action, Budget]]:
    for timer in sorted(local.timers):
        left = budget.pay(_BUDGETS[timer.kind])
        if left is not None:
            yield Expire(local.state.id, timer), left


def _requests(local: ServerState, budget: Budget) -> Iterator[tuple[Action, Budget]]:
    """What clients and operators ask of a server."""
    node = local.state.id
    left = budget.pay("snapshots")
    if left is not None and local.state.applied > local.state.snapshot_last.index:
        yield Compact(node), left
    if not isinstance(local.state.role, Leader):
        return
    left = budget.pay("writes")
    if left is not None:
        yield Submit(node, written(budget.written + 1)), replace(left, written=budget.written + 1)
    for place, change in enumerate(budget.changes):
        rest = budget.changes[:place] + budget.changes[place + 1 :]
        yield Reconfigure(node, change), replace(budget, changes=rest)
