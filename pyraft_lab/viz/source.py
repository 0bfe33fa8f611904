"""What the figures draw from: a trace, a simulation, a live cluster, or a frame of one's own."""

from typing import Protocol, runtime_checkable

import pandas as pd

from pyraft_lab.errors import PyraftError
from pyraft_lab.trace.frames import FRAMES
from pyraft_lab.trace.recorder import Trace

CLUES = {"entries": "appended", "messages": "src", "states": "voted_for", "events": "cause"}
"""The column by which each frame is told from the others."""


@runtime_checkable
class Traced(Protocol):
    """Whatever has a trace: a ``Simulation``, a ``LocalCluster``."""

    @property
    def trace(self) -> Trace:
        """What happened."""


class Frames:
    """The four frames of a run, of which only some may be known."""

    def __init__(self, frame: pd.DataFrame) -> None:
        known = {name: make(()) for name, make in FRAMES.items()}
        name = next((name for name, clue in CLUES.items() if clue in frame.columns), None)
        if name is None:
            raise PyraftError(f"cannot tell what this frame is; the frames of a trace are {', '.join(CLUES)}")
        known[name] = frame
        self.events, self.messages = known["events"], known["messages"]
        self.states, self.entries = known["states"], known["entries"]


Drawable = Trace | Traced | pd.DataFrame


def trace_of(source: Drawable) -> Trace | Frames:
    """The frames to draw; a clear error for anything that has none."""
    if isinstance(source, pd.DataFrame):
        return Frames(source)
    if isinstance(source, Trace):
        return source
    if isinstance(source, Traced):
        return source.trace
    raise PyraftError(f"cannot draw a {type(source).__name__}: give a Trace, a Simulation, a cluster or a frame")


def nodes_of(trace: Trace | Frames, wanted: list[int] | None) -> list[int]:
    """The lanes of a chart: the nodes asked for, or every one that did something."""
    columns = (trace.states["node"], trace.entries["node"], trace.messages["src"], trace.messages["dst"])
    known = sorted({int(node) for column in columns for node in column.dropna().unique()})
    for node in wanted or ():
        if node not in known:
            raise PyraftError(f"there is no node {node} in this trace; known are {known}")
    return known if wanted is None else list(wanted)


def window(trace: Trace | Frames, start: float | None, stop: float | None) -> tuple[float, float]:
    """From when to when, in seconds; the whole run unless told otherwise."""
    columns = [trace.events["time"], trace.states["time"], trace.messages["sent"], trace.entries["appended"]]
    times = pd.concat([trace.messages["received"], *columns]).dropna()
    first, last = (float(times.min()), float(times.max())) if len(times) else (0.0, 1.0)
    begin, end = first if start is None else start, last if stop is None else stop
    if begin > end:
        raise PyraftError(f"a window from {begin:g} s to {end:g} s ends before it begins")
    return begin, max(end, begin + 1e-6)


def spans(trace: Trace | Frames, stop: float) -> pd.DataFrame:
    """When each node was what: ``node start stop term role``, a crash being a role of its own (``down``)."""
    changes = trace.states[["time", "node", "term", "role"]].copy()
    changes["role"] = changes["role"].astype(str)
    crashes = trace.events.loc[trace.events["kind"] == "crash", ["time", "node"]].assign(term=0, role="down")
    every = pd.concat([changes, crashes.astype({"node": changes["node"].dtype})], ignore_index=True)
    every = every.sort_values(["node", "time"], kind="stable").reset_index(drop=True)
    before = every.groupby("node")[["term", "role"]].shift()
    new = before["role"].isna() | (before["role"] != every["role"]) | (before["term"] != every["term"])
    every = every[new]
    ends = every.groupby("node")["time"].shift(-1).fillna(stop)
    return every.assign(start=every["time"], stop=ends)[["node", "start", "stop", "term", "role"]]
