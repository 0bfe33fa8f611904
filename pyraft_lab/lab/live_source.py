"""What live figures and panels can follow: a running cluster."""

from typing import Protocol

from pyraft_lab.errors import PyraftError
from pyraft_lab.trace.trace import Trace


class Live(Protocol):
    """A cluster that can be followed: a ``LocalCluster``."""

    @property
    def trace(self) -> Trace:
        """What happened."""

    @property
    def is_running(self) -> bool:
        """Whether more may happen."""


def check_live(cluster: object) -> None:
    """Refuse anything that is not a live cluster, before a widget is made."""
    if isinstance(cluster, type) or not (hasattr(cluster, "trace") and hasattr(cluster, "is_running")):
        found = f"the class {cluster.__name__}" if isinstance(cluster, type) else f"a {type(cluster).__name__}"
        raise PyraftError(
            f"only a LocalCluster is live, not {found}; of a simulation or a trace draw a figure, as viz.roles"
        )
