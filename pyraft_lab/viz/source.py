"""The data of the figures: a trace, a simulation, a live cluster, or frames, as plain rows."""

import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.errors import ConfigError, PyraftError, shown
from pyraft_lab.trace import given
from pyraft_lab.trace.columns import MISSING, Table, table
from pyraft_lab.trace.schema import SCHEMAS
from pyraft_lab.trace.tables import table_of
from pyraft_lab.trace.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

TELLING_COLUMNS = {"entries": "appended", "messages": "src", "states": "voted_for", "events": "cause"}
"""The column that identifies each frame."""
DONE = {"crash": "down", "pause": "paused", "resume": "resumed", "silent": "no longer heard from", "heard": "resumed"}
"""The role of a node after each kind of fault."""


@runtime_checkable
class Traced(Protocol):
    """Anything with a trace: a ``Simulation``, a ``LocalCluster``."""

    @property
    def trace(self) -> Trace:
        """What happened."""


Source: TypeAlias = "Trace | Traced | pd.DataFrame | Sequence[pd.DataFrame]"
"""Everything that can be drawn. One frame of a trace is enough for most pictures; some need several."""


class EventRow(Struct, frozen=True, gc=False):
    """What figures need of a row of ``trace.events``."""

    time: float
    node: int | None
    kind: str
    term: int | None
    role: str | None
    peer: int | None
    detail: str | None


class StateRow(Struct, frozen=True, gc=False):
    """What figures need of a row of ``trace.states``."""

    time: float
    node: int
    role: str
    term: int
    commit: int
    first_index: int
    last_index: int
    last_term: int
    membership: str | None
    stored: int | None


class EntryRow(Struct, frozen=True, gc=False):
    """A row of ``trace.entries``."""

    node: int
    index: int
    term: int
    leader: int | None
    kind: str
    data: str
    appended: float | None
    stored: float | None
    committed: float | None
    truncated: float | None
    seen: float | None

    @property
    def since(self) -> float | None:
        """The time from which it is known to be in its log."""
        return self.seen if self.appended is None else self.appended

    def is_in_log(self, when: float) -> bool:
        """Whether it was in its log at ``when``."""
        return self.since is not None and self.since <= when and not has_happened(self.truncated, when)


class Span(Struct, frozen=True, gc=False):
    """The role of a node over time; ``down`` and ``paused`` count as roles."""

    node: int
    start: float
    stop: float
    term: int
    role: str


class Run:
    """The tables to draw, all of the same moment; each is made when a figure asks for it."""

    def __init__(self, table: Callable[[str], Table], *, is_whole: bool) -> None:
        self._table = table
        self.is_whole = is_whole

    @cached_property
    def events(self) -> Table:
        """One row for each record."""
        return self._table("events")

    @cached_property
    def messages(self) -> Table:
        """One row for each message."""
        return self._table("messages")

    @cached_property
    def states(self) -> Table:
        """One row for each change of a node."""
        return self._table("states")

    @cached_property
    def entries(self) -> list[EntryRow]:
        """One row for each entry on each node."""
        return list(self._table("entries").rows_as(EntryRow))

    def happened(self, *kinds: str) -> list[EventRow]:
        """The events of these kinds."""
        return self.events.rows_at(EventRow, self.events.places("kind", *kinds))

    def columns(self, *names: tuple[str, str]) -> Iterator[Any]:
        """The packed buffers of some columns, each named by its table and its name."""
        for name, column in names:
            yield self._table(name).buffers[column]


def run_of(source: Source) -> Run:
    """The tables to draw, all of the same moment; ``ConfigError`` or ``PyraftError`` for anything without frames."""
    trace = source if isinstance(source, Trace) else source.trace if isinstance(source, Traced) else None
    if isinstance(trace, Trace):
        return Run(trace.frozen_copy().table, is_whole=True)
    frames = [source] if _is_frame(source) else source
    if isinstance(frames, Sequence) and frames and all(map(_is_frame, frames)):
        return Run(_tables(frames).__getitem__, is_whole=False)
    raise PyraftError(f"cannot draw {_called(source)}: give a Trace, a Simulation, a cluster or a frame")


def _is_frame(source: object) -> bool:
    """Whether it is a pandas frame; where pandas is not loaded, nothing is."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(source, pandas.DataFrame)


def _called(source: object) -> str:
    return f"the class {source.__name__}" if isinstance(source, type) else f"a {type(source).__name__}"


# Frames as tables


def _tables(frames: Iterable[Any]) -> dict[str, Table]:
    known = {name: table_of(name, ()) for name in TELLING_COLUMNS}
    for frame in frames:
        name = _name_of(frame)
        known[name] = _table_of_frame(name, frame)
    if not len(known["states"]) and len(known["events"]):
        known["states"] = _states_of(known["events"])
    return known


def _name_of(frame: Any) -> str:
    for name, clue in TELLING_COLUMNS.items():
        if clue in frame.columns:
            return name
    raise PyraftError(
        f"cannot draw this frame, it is not one of a trace; the frames of a trace are {', '.join(TELLING_COLUMNS)}"
    )


def _table_of_frame(name: str, frame: Any) -> Table:
    columns = SCHEMAS[name]
    values = {one.name: _values(frame[one.name]) for one in columns if one.name in frame.columns}
    try:
        return table(columns, values, len(frame))
    except (TypeError, ValueError, OverflowError) as error:
        raise PyraftError(
            f"cannot draw this frame of {name}: a column has other values than a trace's ({error})"
        ) from None


def _values(column: Any) -> list[Any]:
    return [None if absent else value for value, absent in zip(column.tolist(), column.isna().tolist(), strict=True)]


def _states_of(events: Table) -> Table:
    """The events contain the node's state after each of them."""
    chosen = [row for row in events.rows("time", "node", "role", "term", "commit", "last_index", "last_term") if row[2]]
    names = ("time", "node", "role", "term", "commit", "last_index", "last_term")
    values = dict(zip(names, map(list, zip(*chosen, strict=True)), strict=True)) if chosen else {}
    return table(SCHEMAS["states"], {**values, "first_index": [1] * len(chosen)}, len(chosen))


# Nodes and times


def nodes_of(run: Run, wanted: list[int] | None) -> list[int]:
    """The lanes of a chart: the given nodes, or every node that did something."""
    everywhere = [("events", "node")]
    if not run.is_whole:
        everywhere += [("states", "node"), ("entries", "node"), ("messages", "src"), ("messages", "dst")]
    known = sorted({node for column in run.columns(*everywhere) for node in set(column)} - {MISSING})
    if wanted is not None and not given.are_several(wanted):
        raise ConfigError("nodes", wanted, f"must be some of the nodes {known}")
    for node in wanted or ():
        if node not in known:
            raise PyraftError(f"there is no node {shown(node)} in this trace; it has the nodes {known}")
    return known if wanted is None else list(dict.fromkeys(wanted))


def window(run: Run, start: float | None, stop: float | None, *, ends: str = "stop") -> tuple[float, float]:
    """Start and stop in seconds; the whole run by default. ``ends`` is the caller's name for ``stop``."""
    given.seconds("start", start)
    given.seconds(ends, stop)
    always = [("events", "time")]
    if not run.is_whole:
        always += [("states", "time"), ("entries", "appended"), ("messages", "sent"), ("messages", "received")]
    times = [time for column in run.columns(*always) for time in column if time == time]  # noqa: PLR0124 (no NaN)
    first, last = (min(times), max(times)) if times else (0.0, 1.0)
    begin, end = first if start is None else start, last if stop is None else stop
    if begin > end:
        raise PyraftError(f"a window from {begin:g} s to {end:g} s ends before it begins")
    return begin, max(end, begin + 1e-6)


def has_happened(time: float | None, when: float) -> bool:
    """Whether something that has this time, if it happened at all, had happened at ``when``."""
    return time is not None and time <= when


def states_at(run: Run, when: float) -> dict[int, StateRow]:
    """The last row of each node up to ``when``, by node."""
    places: dict[int, int] = {}
    for place, (time, node) in enumerate(zip(*run.columns(("states", "time"), ("states", "node")), strict=True)):
        if time <= when:
            places[node] = place
    nodes = sorted(places)
    return dict(zip(nodes, run.states.rows_at(StateRow, [places[node] for node in nodes]), strict=True))


# Roles over time

Turn = tuple[float, int | None, str | None]
"""A time at which the role of a node may have changed, its term then, and its role, where they are known."""


def spans(run: Run, stop: float) -> list[Span]:
    """The roles of each node over time, by node, up to ``stop`` seconds."""
    turns = _turns(run)
    return [span for node in sorted(turns) for span in _spans(node, turns[node], stop)]


def _spans(node: int, turns: list[Turn], stop: float) -> Iterator[Span]:
    own, term, begun = "follower", 0, None
    for time, new_term, role in turns:
        term = term if new_term is None else new_term
        own = own if role is None or role in _FAULTY else role
        now = own if role in (None, "resumed") else str(role)
        if begun is not None and (begun.term, begun.role) != (term, now):
            yield replace(begun, stop=time)
            begun = None
        begun = begun or Span(node, time, stop, term, now)
    if begun is not None:
        yield begun


def roles_at(run: Run, when: float) -> dict[int, str]:
    """The role of each node at ``when``."""
    return {one.node: one.role for one in spans(run, when) if one.start <= when}


_FAULTY = frozenset(DONE.values())


def _turns(run: Run) -> dict[int, list[Turn]]:
    """Every node's turns in order of time; of equal times first steps, then faults, then restarts."""
    found: defaultdict[int, list[Turn]] = defaultdict(list)
    for act in run.happened(*DONE):
        if act.node is not None:
            found[act.node].append((act.time, act.term, DONE[act.kind]))
    faults = {node: sorted(time for time, _, _ in turns) for node, turns in found.items()}
    changes = _changes(run, faults)
    for row in run.happened("restart"):
        if row.node is not None:
            found[row.node].append((row.time, row.term, row.role))
    return {node: sorted([*changes[node], *found[node]], key=_time) for node in {**changes, **found}}


def _time(turn: Turn) -> float:
    return turn[0]


def _changes(run: Run, faults: dict[int, list[float]]) -> defaultdict[int, list[Turn]]:
    """The states in which a node's term or role is another one, or the first after a fault."""
    found: defaultdict[int, list[Turn]] = defaultdict(list)
    before: dict[int, tuple[int, int, float]] = {}
    words = run.states.column("role").words
    names = ("time", "node", "term", "role")
    for time, node, term, role in zip(*run.columns(*(("states", name) for name in names)), strict=True):
        last = before.get(node)
        if last is None or last[0] != term or last[1] != role or _is_between(faults.get(node), last[2], time):
            found[node].append((time, None if term == MISSING else term, words[role] if role >= 0 else None))
        before[node] = (term, role, time)
    return found


def _is_between(times: list[float] | None, start: float, stop: float) -> bool:
    """Whether one of these sorted times is within both, ends included."""
    if not times:
        return False
    place = bisect_left(times, start)
    return place < len(times) and times[place] <= stop


# Cut links


def separations(run: Run, begin: float, end: float) -> list[tuple[float, float, str]]:
    """The cut links within a window: start, stop and description."""
    found: list[tuple[float, float, str]] = []
    said: list[str] = []
    since = begin
    for row in run.happened("partition", "cut", "heal"):
        if said:
            found.append((since, row.time, ", ".join(said)))
        said = _cuts_after(row, said)
        since = row.time
    if said:
        found.append((since, end, ", ".join(said)))
    return [(max(start, begin), min(stop, end), words) for start, stop, words in found if stop > begin and start < end]


def _cuts_after(row: EventRow, said: list[str]) -> list[str]:
    match row.kind:
        case "heal":
            return []
        case "partition":
            return [str(row.detail)]
        case _:
            return [*said, f"n{row.node} to n{row.peer}"]
