"""The data of the figures: a trace, a simulation, a live cluster, or a single frame."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeGuard, runtime_checkable

import pandas as pd

from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.trace import given
from pyraft_lab.trace.frames import FRAMES
from pyraft_lab.trace.trace import Trace

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


class Frames:
    """The four frames of a run; some may be missing."""

    def __init__(self, frames: Sequence[pd.DataFrame]) -> None:
        known = {name: make(()) for name, make in FRAMES.items()}
        for frame in frames:
            known[_name_of(frame)] = frame
        if known["states"].empty and len(known["events"]):  # the events contain the node's state after each of them
            stood = known["events"].dropna(subset=["role"])
            known["states"] = stood.reindex(columns=known["states"].columns).fillna({"first_index": 1})
        self.events, self.messages = known["events"], known["messages"]
        self.states, self.entries = known["states"], known["entries"]


def _name_of(frame: pd.DataFrame) -> str:
    for name, clue in TELLING_COLUMNS.items():
        if clue in frame.columns:
            return name
    raise PyraftError(
        f"cannot draw this frame, it is not one of a trace; the frames of a trace are {', '.join(TELLING_COLUMNS)}"
    )


Drawable = Trace | Traced | pd.DataFrame | Sequence[pd.DataFrame]
"""Everything that can be drawn. One frame of a trace is enough for most pictures; some need several."""


def trace_of(source: Drawable) -> Trace | Frames:
    """The frames to draw, all of the same moment; ``ConfigError`` or ``PyraftError`` for anything without frames."""
    if isinstance(source, pd.DataFrame):
        return Frames([source])
    if isinstance(source, Trace):
        return source.frozen_copy()
    if isinstance(source, Traced) and isinstance(source.trace, Trace):
        return source.trace.frozen_copy()
    if _are_frames(source):
        return Frames(source)
    raise PyraftError(f"cannot draw {_called(source)}: give a Trace, a Simulation, a cluster or a frame")


def _are_frames(source: Any) -> TypeGuard[Sequence[pd.DataFrame]]:
    return isinstance(source, Sequence) and bool(source) and all(isinstance(one, pd.DataFrame) for one in source)


def _called(source: object) -> str:
    return f"the class {source.__name__}" if isinstance(source, type) else f"a {type(source).__name__}"


def nodes_of(trace: Trace | Frames, wanted: list[int] | None) -> list[int]:
    """The lanes of a chart: the given nodes, or every node that did something."""
    columns = _everywhere(trace) if isinstance(trace, Frames) else [trace.events["node"]]
    known = sorted({int(node) for column in columns for node in column.dropna().unique()})
    if wanted is not None and not given.are_several(wanted):
        raise ConfigError("nodes", wanted, f"must be some of the nodes {known}")
    for node in wanted or ():
        if node not in known:
            raise PyraftError(f"there is no node {node} in this trace; it has the nodes {known}")
    return known if wanted is None else list(dict.fromkeys(wanted))


def since(entries: pd.DataFrame) -> pd.Series:
    """The time from which each entry is known to be in its log."""
    return entries["appended"].fillna(entries["seen"]) if "seen" in entries else entries["appended"]


def _everywhere(frames: Frames) -> list[pd.Series]:
    """Every column with node ids; a whole trace has them all in its events."""
    return [
        frames.events["node"],
        frames.states["node"],
        frames.entries["node"],
        frames.messages["src"],
        frames.messages["dst"],
    ]


def _always(frames: Frames) -> list[pd.Series]:
    """Every column with times."""
    messages = frames.messages
    return [
        frames.events["time"],
        frames.states["time"],
        frames.entries["appended"],
        messages["sent"],
        messages["received"],
    ]


def window(
    trace: Trace | Frames, start: float | None, stop: float | None, *, ends: str = "stop"
) -> tuple[float, float]:
    """Start and stop in seconds; the whole run by default. ``ends`` is the caller's name for ``stop``."""
    given.seconds("start", start)
    given.seconds(ends, stop)
    columns = _always(trace) if isinstance(trace, Frames) else [trace.events["time"]]
    times = pd.concat(columns).dropna()
    first, last = (float(times.min()), float(times.max())) if len(times) else (0.0, 1.0)
    begin, end = first if start is None else start, last if stop is None else stop
    if begin > end:
        raise PyraftError(f"a window from {begin:g} s to {end:g} s ends before it begins")
    return begin, max(end, begin + 1e-6)


def spans(trace: Trace | Frames, stop: float) -> pd.DataFrame:
    """The roles of each node over time: ``node start stop term role``; ``down`` and ``paused`` count as roles."""
    every = _turns(trace)
    before = every.groupby("node")[["term", "role"]].shift()
    new = before["role"].isna() | (before["role"] != every["role"]) | (before["term"] != every["term"])
    every = every[new]
    ends = every.groupby("node")["time"].shift(-1).fillna(stop)
    return every.assign(start=every["time"], stop=ends)[["node", "start", "stop", "term", "role"]]


def _turns(trace: Trace | Frames) -> pd.DataFrame:
    """Every time at which the role of a node may have changed: ``node time term role``."""
    changes = trace.states[["time", "node", "term", "role"]]
    of_nodes = trace.events.dropna(subset=["node"])  # a hold is a pause of all links, and of no node
    done = of_nodes[of_nodes["kind"].isin(list(DONE))]
    acts = done.assign(role=done["kind"].map(DONE).astype("str"))[["time", "node", "term", "role"]]
    back = trace.events.loc[trace.events["kind"] == "restart", ["time", "node", "term", "role"]]
    parts = [part.astype({"node": "Int64", "term": "Int64", "role": "str"}) for part in (changes, acts, back)]
    every = pd.concat(parts, ignore_index=True).sort_values(["node", "time"], kind="stable").reset_index(drop=True)
    own = every["role"].where(~every["role"].isin(list(DONE.values())))
    own = own.groupby(every["node"]).ffill().fillna("follower")
    return every.assign(
        role=every["role"].where(every["role"] != "resumed", own),
        term=every.groupby("node")["term"].ffill().fillna(0).astype("int64"),
        node=every["node"].astype("int64"),
    )


def separations(trace: Trace | Frames, begin: float, end: float) -> list[tuple[float, float, str]]:
    """The cut links within a window: start, stop and description."""
    found: list[tuple[float, float, str]] = []
    said: list[str] = []
    since = begin
    acts: list[Any] = list(trace.events[trace.events["kind"].isin(["partition", "cut", "heal"])].itertuples())
    for row in acts:
        if said:
            found.append((since, float(row.time), ", ".join(said)))
        said = [] if row.kind == "heal" else [row.detail] if row.kind == "partition" else [*said, _one_way(row)]
        since = float(row.time)
    if said:
        found.append((since, end, ", ".join(said)))
    return [(max(start, begin), min(stop, end), words) for start, stop, words in found if stop > begin and start < end]


def _one_way(row: Any) -> str:
    return f"n{row.node} to n{row.peer}"
