"""Views computed from records alone: of a saved run, or of a followed cluster."""

import re
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from pyraft_lab.engine.commands import CancelTimer, SetTimer
from pyraft_lab.engine.events import Fire
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.state import Disk, Leader, RaftState, Step
from pyraft_lab.engine.timers import ELECTION, HEARTBEAT
from pyraft_lab.engine.types import NodeId
from pyraft_lab.lab.cluster_view import Clock, ClusterView, ServerView, clock_of
from pyraft_lab.sim.links import links_between
from pyraft_lab.trace.record import AWAY, EventId, Fate, Flight, Kind, MessageId, Record
from pyraft_lab.trace.text import server

ENDS_FLIGHT = frozenset({Kind.RECEIVE, Kind.UNDELIVERED, Kind.DROP})
"""The kinds of records that end the way of a message."""
Ends = Mapping[EventId, float]
"""The time at which the election timer set by an event fired, if it did."""


def ends_of(records: Sequence[Record]) -> Ends:
    """Look ahead: which election timers fired, and when; the length of all others is unknown."""
    fired: dict[NodeId, float] = {}
    ends: dict[EventId, float] = {}
    for record in reversed(records):
        if record.step is None:
            fired.pop(record.node, None) if record.kind is Kind.CRASH else None
            continue
        if _touches_election(record.step) and record.node in fired:
            ends[record.id] = fired.pop(record.node)
        if record.step.event == Fire(ELECTION):
            fired[record.node] = record.time
    return ends


def _touches_election(step: Step) -> bool:
    return any(isinstance(one, (SetTimer, CancelTimer)) and one.timer == ELECTION for one in step.commands)


def after(view: ClusterView, record: Record, ends: Ends) -> ClusterView:
    """The view right after ``record``, from the view before it."""
    servers, cuts = _servers(view, record, ends), _cuts(view, record)
    early = _early(view, record)
    flying = _flying(
        view.flying, record, lambda one: one.id not in view.early and not undeliverable_reason(one, servers, cuts)
    )
    return ClusterView(time=record.time, servers=servers, flying=flying, cuts=cuts, early=early)


def undeliverable_reason(
    flight: Flight, servers: Mapping[NodeId, ServerView], cuts: frozenset[tuple[NodeId, NodeId]]
) -> str:
    """The reason why a message that is sent now cannot arrive; an empty text if it may arrive.

    >>> undeliverable_reason(Flight(id=1, src=1, dst=2, message=None, sent=0.0, cause=0), {}, frozenset({(1, 2)}))
    'link cut'
    """
    if (flight.src, flight.dst) in cuts:
        return "link cut"
    dst = servers.get(flight.dst)
    if dst is None or dst.up:
        return ""
    return f"{server(flight.dst)} is {'no longer heard from' if dst.silent else 'down'}"


def _servers(view: ClusterView, record: Record, ends: Ends) -> Mapping[NodeId, ServerView]:
    old = view.servers.get(record.node)
    match record:
        case Record(step=Step() as step):
            new: ServerView | None = _stepped(old, record, step, ends)
        case Record(state=RaftState() as state):
            new = replace(_standing(old, state), clock=None)
        case _:
            new = _touched(old, record)
    return view.servers if new is old or new is None else {**view.servers, record.node: new}


def _stepped(old: ServerView | None, record: Record, step: Step, ends: Ends) -> ServerView:
    kept = _standing(old, step.after)
    return replace(kept, clock=_clock(kept.clock, record, step, ends), rules=step.rules)


def _standing(old: ServerView | None, state: RaftState) -> ServerView:
    id = state.log.id_at(state.applied) or state.snapshot_last
    kept = ServerView(state=state) if old is None else old
    return replace(kept, state=state, up=not state.halted, silent=False, digest=f"{id.term}.{id.index}")


def _clock(old: Clock | None, record: Record, step: Step, ends: Ends) -> Clock | None:
    timer = clock_of(step.after)
    for command in reversed(step.commands):
        match command:
            case SetTimer(set_timer) if set_timer == timer == HEARTBEAT:
                return Clock(record.time, record.time + step.after.config.heartbeat_interval)
            case SetTimer(set_timer) if set_timer == timer:
                return Clock(record.time, ends.get(record.id))
            case CancelTimer(cancelled) if cancelled == timer:
                return None
            case _:
                pass
    return old if isinstance(step.before.role, Leader) is isinstance(step.after.role, Leader) else None


def _touched(old: ServerView | None, record: Record) -> ServerView | None:
    if old is None:
        return None
    match record.kind:
        case Kind.CRASH:
            return replace(old, up=False, silent=False, paused=False, clock=None)
        case Kind.WIPE:
            return replace(old, state=start(record.node, Disk(), old.state.config), digest="0.0")
        case Kind.SILENT:
            return replace(old, up=False, silent=True, clock=None)
        case Kind.RESTART | Kind.HEARD:
            return replace(old, up=True, silent=False)
        case Kind.PAUSE | Kind.RESUME:
            return replace(old, paused=record.kind is Kind.PAUSE)
        case Kind.DRIFT:
            return replace(old, rate=float(record.detail.rsplit(" ", 1)[-1]))
        case _:
            return old


def _early(view: ClusterView, record: Record) -> frozenset[MessageId]:
    known = view.early
    if known and record.sent:
        known -= {one.id for one in record.sent}
    if record.kind is Kind.RECEIVE and record.message is not None and record.message not in view.flying:
        known |= {record.message}
    return known


def _flying(
    flying: Mapping[MessageId, Flight], record: Record, may_arrive: Callable[[Flight], bool]
) -> Mapping[MessageId, Flight]:
    left = {one.id: one for one in record.sent if one.fate is Fate.FLYING and may_arrive(one)}
    if record.kind in AWAY:
        return {id: one for id, one in flying.items() if may_arrive(one)} | left
    if record.kind is Kind.GAP:  # perhaps they arrived
        return {id: one for id, one in flying.items() if one.dst != record.node} | left
    if not left and record.message not in flying:
        return flying
    now = {**flying, **left}
    if record.kind in ENDS_FLIGHT and record.message is not None and record.message not in left:
        now.pop(record.message, None)
    return now


def _cuts(view: ClusterView, record: Record) -> frozenset[tuple[NodeId, NodeId]]:
    match record.kind:
        case Kind.HEAL:
            healed = links_in(record.detail)
            return view.cuts.difference(healed) if healed else frozenset()
        case Kind.CUT:
            return view.cuts | {(record.node, record.peer or 0)}
        case Kind.PARTITION:
            return frozenset(links_between(groups_in(record.detail), view.servers))
        case _:
            return view.cuts


def groups_in(detail: str) -> list[list[NodeId]]:
    """The groups of a partition, from its record.

    >>> groups_in("{1,2} | {3}")
    [[1, 2], [3]]
    """
    return [[int(node) for node in group.split(",")] for group in re.findall(r"\{([\d,]+)\}", detail.replace(" ", ""))]


def links_in(detail: str) -> list[tuple[NodeId, NodeId]]:
    """The links that a record heals; empty means every link.

    >>> links_in("1→2 3→1")
    [(1, 2), (3, 1)]
    """
    return [(int(src), int(dst)) for src, dst in re.findall(r"(\d+)→(\d+)", detail)]
