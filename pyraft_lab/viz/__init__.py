"""Pictures: each takes a trace, a simulation or a cluster and returns a Plotly figure that needs no network."""

from pyraft_lab.viz.logs import logs
from pyraft_lab.viz.timelines import roles, space_time

__all__ = ["logs", "roles", "space_time"]
