"""What the figures draw from: a trace, a simulation or a live cluster, always by way of the tidy frames."""

from typing import Protocol, runtime_checkable

import pandas as pd

from pyraft_lab.errors import PyraftError
from pyraft_lab.trace.recorder import Trace


@runtime_checkable
class Traced(Protocol):
    """Whatever has a trace: a ``Simulation``, a ``LocalCluster``."""

    @property
    def trace(self) -> Trace:
        """What happened."""


Drawable = Trace | Traced


def trace_of(source: Drawable) -> Trace:
    """The trace to draw; a clear error for anything that has none."""
    if isinstance(source, Trace):
        return source
    if isinstance(source, Traced):
        return source.trace
    raise PyraftError(f"cannot draw a {type(source).__name__}: give a Trace, a Simulation or a LocalCluster")


def nodes_of(events: pd.DataFrame, wanted: list[int] | None) -> list[int]:
    """The lanes of a chart: the nodes asked for, or every one that did something."""
    known = sorted(int(node) for node in events["node"].unique() if node > 0)
    if wanted is None:
        return known
    for node in wanted:
        if node not in known:
            raise PyraftError(f"there is no node {node} in this trace; known are {known}")
    return list(wanted)


def window(events: pd.DataFrame, start: float | None, stop: float | None) -> tuple[float, float]:
    """From when to when, in seconds; the whole run unless told otherwise."""
    first = float(events["time"].min()) if len(events) else 0.0
    last = float(events["time"].max()) if len(events) else 1.0
    begin, end = first if start is None else start, last if stop is None else stop
    if begin > end:
        raise PyraftError(f"a window from {begin:g} s to {end:g} s ends before it begins")
    return begin, max(end, begin + 1e-6)


def spans(states: pd.DataFrame, events: pd.DataFrame, stop: float) -> pd.DataFrame:
    """When each node was what: ``node start stop term role``, a crash being a role of its own (``down``)."""
    changes = states[["time", "node", "term", "role"]].copy()
    changes["role"] = changes["role"].astype(str)
    crashes = events.loc[events["kind"] == "crash", ["time", "node"]].assign(term=0, role="down")
    every = pd.concat([changes, crashes.astype({"node": changes["node"].dtype})], ignore_index=True)
    every = every.sort_values(["node", "time"], kind="stable")
    new = every.ne(every.groupby("node").shift().reindex(every.index).assign(time=every["time"], node=every["node"]))
    every = every[new[["term", "role"]].any(axis=1)]
    ends = every.groupby("node")["time"].shift(-1).fillna(stop)
    return every.assign(start=every["time"], stop=ends)[["node", "start", "stop", "term", "role"]]
