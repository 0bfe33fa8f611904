"""Pictures of verdicts: a client history with its order, a broken run around its break, a sweep as a map."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import pandas as pd
import plotly.graph_objects as go

from pyraft_lab.errors import PyraftError
from pyraft_lab.history import History, Operation
from pyraft_lab.sim.checks import Violation
from pyraft_lab.trace.recorder import Trace
from pyraft_lab.viz import theme
from pyraft_lab.viz.timelines import space_time


@runtime_checkable
class Recorded(Protocol):
    """Whatever has clients: a ``Simulation``, a ``LocalCluster``."""

    @property
    def history(self) -> History:
        """What the clients saw."""


@runtime_checkable
class Verdict(Recorded, Protocol):
    """What a check of a history found (:class:`pyraft_lab.check.verdict.Verdict`)."""

    @property
    def order(self) -> Sequence[Operation]:
        """An order that explains every answer."""

    @property
    def points(self) -> Sequence[float]:
        """When each operation of the order may have taken effect."""

    @property
    def blocked(self) -> Any:
        """The operation that has no place."""


@runtime_checkable
class Judged(Protocol):
    """Whatever was watched: a ``Simulation``."""

    @property
    def trace(self) -> Trace:
        """What happened."""

    @property
    def violations(self) -> Sequence[Violation]:
        """What was broken."""


def history(source: History | Recorded, *, title: str | None = None) -> go.Figure:
    """Clients' operations as bars from call to return; from a ``Verdict`` also where each took effect, or could not.

    A diamond is the instant at which an operation may be thought to have happened; an open bar has no known end; the
    operation that fits nowhere has a heavy frame.
    """
    verdict = source if isinstance(source, Verdict) else None
    operations = _operations(source)
    if not operations:
        raise PyraftError("there is no operation to draw yet; let a client write or read")
    clients = sorted({str(each.client) for each in operations})
    end = max(each.call if each.returned is None else each.returned for each in operations)
    fig = theme.figure(title, height=100 + 44 * len(clients), showlegend=False, barmode="overlay")
    blocked = {verdict.blocked.operation} if verdict is not None and verdict.blocked is not None else set()
    _draw_bars(fig, operations, clients, end, blocked)
    if verdict is not None:
        _draw_points(fig, verdict, clients)
    names = [f"client {client}" for client in clients]
    fig.update_yaxes(
        tickvals=list(range(len(clients))), ticktext=names, range=[len(clients) - 0.4, -0.6], showgrid=False
    )
    theme.seconds(fig, min(each.call for each in operations), end)
    fig.update_layout(margin={"l": 84})
    return fig


def _operations(source: History | Recorded) -> Sequence[Operation]:
    if isinstance(source, History):
        return source.operations
    if isinstance(source, Recorded):
        return source.history.operations
    raise PyraftError(f"cannot draw a {type(source).__name__}: give a History, a Verdict or a Simulation")


def _draw_bars(
    fig: go.Figure, operations: Sequence[Operation], clients: list[str], end: float, blocked: set[Operation]
) -> None:
    length = [(end if each.returned is None else each.returned) - each.call for each in operations]
    fig.add_bar(
        orientation="h",
        base=[each.call for each in operations],
        x=length,
        y=[clients.index(str(each.client)) for each in operations],
        width=0.56,
        text=[_said(each) for each in operations],
        textposition="inside",
        insidetextanchor="middle",
        textfont={"size": 10, "color": theme.INK},
        marker={
            "color": ["#FFFFFF" if each.returned is None else theme.NO_TERM for each in operations],
            "line": {"color": theme.INK, "width": [4 if each in blocked else 1 for each in operations]},
            "pattern": {"shape": ["/" if each.returned is None else "" for each in operations], "fgopacity": 0.3},
        },
        hovertext=[_words(each) for each in operations],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _draw_points(fig: go.Figure, verdict: Verdict, clients: list[str]) -> None:
    placed = list(zip(verdict.points, verdict.order, strict=True))
    fig.add_scatter(
        x=[at for at, _ in placed],
        y=[clients.index(str(each.client)) for _, each in placed],
        mode="markers",
        marker={"symbol": "diamond", "size": 10, "color": theme.INK, "line": {"color": "#FFFFFF", "width": 1}},
        hovertext=[f"{place}. {_said(each)}" for place, (_, each) in enumerate(placed, 1)],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _said(operation: Operation) -> str:
    given = operation.input
    asked = " ".join(str(part) for part in given) if isinstance(given, tuple) else str(given)
    answer = "" if operation.returned is None or operation.output is None else f" → {operation.output}"
    return asked + answer


def _words(operation: Operation) -> str:
    until = "no answer" if operation.returned is None else f"answered at {operation.returned:.3f} s"
    return f"client {operation.client}: {_said(operation)}<br>called at {operation.call:.3f} s, {until}"


def counterexample(source: Judged, *, before: float = 0.15, title: str | None = None) -> go.Figure:
    """The moments before the first broken property, message by message; ``before`` is how many seconds of them."""
    if not source.violations:
        raise PyraftError("nothing was broken in this run: there is no counterexample to draw")
    broken = source.violations[0]
    fig = space_time(
        source.trace, start=max(0.0, broken.time - before), stop=broken.time + before / 10, title=title or broken.name
    )
    fig.add_vline(x=broken.time, line={"color": theme.INK, "width": 4})
    fig.add_annotation(
        x=broken.time,
        y=1,
        yref="paper",
        text=f"<b>broken:</b> {broken.what}",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
    )
    return fig


def sweep(frame: pd.DataFrame, *, x: str, y: str, value: str, title: str | None = None) -> go.Figure:
    """A measure over two knobs as a map; each cell carries the capsules of its runs in ``customdata``."""
    for column in (x, y, value):
        if column not in frame.columns:
            raise PyraftError(f"the frame has no column {column!r}; it has {', '.join(map(str, frame.columns))}")
    table = frame.pivot_table(index=y, columns=x, values=value, aggfunc="mean")
    fig = theme.figure(title, height=420)
    fig.add_heatmap(
        x=[str(each) for each in table.columns],
        y=[str(each) for each in table.index],
        z=table.to_numpy(),
        customdata=_capsules(frame, x, y, table),
        texttemplate="%{z:.3g}",
        colorscale=[[0, "#FFFFFF"], [1, theme.PALETTE[4]]],
        colorbar={"title": {"text": value}},
        hovertemplate=f"{x} %{{x}}, {y} %{{y}}<br>{value} %{{z:.4g}}<extra></extra>",
    )
    fig.update_xaxes(title={"text": x}, type="category")
    fig.update_yaxes(title={"text": y}, type="category")
    return fig


def _capsules(frame: pd.DataFrame, x: str, y: str, table: pd.DataFrame) -> list[list[str]] | None:
    if "capsule" not in frame.columns:
        return None
    first = frame.groupby([y, x])["capsule"].first()
    return [[str(first.get((row, column), "")) for column in table.columns] for row in table.index]
