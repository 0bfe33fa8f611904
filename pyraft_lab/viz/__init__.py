"""Pictures: each takes a trace, a simulation, a cluster or a frame and returns a Plotly figure without a network."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pyraft_lab.extras import needed

if TYPE_CHECKING:
    from pyraft_lab.viz.causes import why as why
    from pyraft_lab.viz.logs import logs as logs
    from pyraft_lab.viz.measures import commit_latency as commit_latency
    from pyraft_lab.viz.measures import snapshots as snapshots
    from pyraft_lab.viz.progress import progress as progress
    from pyraft_lab.viz.quorums import quorums as quorums
    from pyraft_lab.viz.timelines import roles as roles
    from pyraft_lab.viz.timelines import space_time as space_time
    from pyraft_lab.viz.verdicts import counterexample as counterexample
    from pyraft_lab.viz.verdicts import history as history
    from pyraft_lab.viz.verdicts import sweep as sweep

_FIGURES = {
    "commit_latency": "measures",
    "counterexample": "verdicts",
    "history": "verdicts",
    "logs": "logs",
    "progress": "progress",
    "quorums": "quorums",
    "roles": "timelines",
    "snapshots": "measures",
    "space_time": "timelines",
    "sweep": "verdicts",
    "why": "causes",
}
"""The module of each figure; it is imported with the first figure, because a Lab needs no Plotly."""

__all__ = sorted(_FIGURES)  # noqa: PLE0605 (a list)


def __getattr__(name: str) -> Any:
    if name not in _FIGURES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needed("plotly"):
        module = import_module(f"{__name__}.{_FIGURES[name]}")
    figure = globals()[name] = getattr(module, name)
    return figure


def __dir__() -> list[str]:
    return sorted([*globals(), *_FIGURES])


class _Pictures(ModuleType):
    """This package: importing its module ``logs`` must not hide the figure ``logs``."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _FIGURES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Pictures
