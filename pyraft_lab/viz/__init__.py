"""Pictures: each takes a trace, a simulation, a cluster or a frame and returns a Plotly figure without a network.

``viz.roles.sketch(...)`` takes the same arguments and returns a static picture, for which Plotly is not needed.
"""

from pyraft_lab.viz.answers import shares
from pyraft_lab.viz.causes import why
from pyraft_lab.viz.logs import logs
from pyraft_lab.viz.measures import commit_latency, snapshots
from pyraft_lab.viz.progress import progress
from pyraft_lab.viz.quorums import quorums
from pyraft_lab.viz.timelines import roles, space_time
from pyraft_lab.viz.verdicts import counterexample, history, sweep

__all__ = [
    "commit_latency",
    "counterexample",
    "history",
    "logs",
    "progress",
    "quorums",
    "roles",
    "shares",
    "snapshots",
    "space_time",
    "sweep",
    "why",
]
