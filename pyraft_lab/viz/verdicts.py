"""Pictures of verdicts: a client history with its order, a broken run around its break, a sweep as a map."""

from collections.abc import Mapping, Sequence
from itertools import count
from math import inf
from operator import attrgetter
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
    lanes = _lanes(operations)
    names = [f"client {client}" if not row else "" for client, row in sorted(set(lanes.values()))]
    places = {lane: place for place, lane in enumerate(sorted(set(lanes.values())))}
    rows = {each: places[lane] for each, lane in lanes.items()}
    end = max(each.call if each.returned is None else each.returned for each in operations)
    fig = theme.figure(title, height=100 + 44 * len(places), showlegend=False, barmode="overlay")
    blocked = {verdict.blocked.operation} if verdict is not None and verdict.blocked is not None else set()
    _draw_bars(fig, operations, rows, end, blocked)
    for each in blocked:
        _draw_refusal(fig, each, rows[each], end)
    if verdict is not None:
        _draw_points(fig, verdict, rows)
    fig.update_yaxes(
        tickvals=list(range(len(places))), ticktext=names, range=[len(places) - 0.35, -0.6], showgrid=False
    )
    theme.seconds(fig, min(each.call for each in operations), end)
    fig.update_layout(margin={"l": 84})
    return fig


Lane = tuple[str, int]
"""A client, and which of its rows: calls of one client that overlap have a row each."""


def _lanes(operations: Sequence[Operation]) -> dict[Operation, Lane]:
    """The lane of each operation: the client's first row that is free again."""
    lanes, free = dict[Operation, Lane](), dict[Lane, float]()
    for each in sorted(operations, key=attrgetter("call")):
        client = str(each.client)
        row = next(row for row in count() if free.get((client, row), each.call) <= each.call)
        lanes[each] = client, row
        free[client, row] = inf if each.returned is None else each.returned
    return lanes


def _operations(source: History | Recorded) -> Sequence[Operation]:
    if isinstance(source, History):
        return source.operations
    if isinstance(source, Recorded):
        return source.history.operations
    raise PyraftError(f"cannot draw a {type(source).__name__}: give a History, a Verdict or a Simulation")


def _draw_bars(
    fig: go.Figure, operations: Sequence[Operation], rows: Mapping[Operation, int], end: float, blocked: set[Operation]
) -> None:
    length = [(end if each.returned is None else each.returned) - each.call for each in operations]
    fig.add_bar(
        orientation="h",
        base=[each.call for each in operations],
        x=length,
        y=[rows[each] for each in operations],
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


def _draw_refusal(fig: go.Figure, operation: Operation, row: int, end: float) -> None:
    """What fits nowhere is named, too: its bar may be too short for words."""
    returned = end if operation.returned is None else operation.returned
    fig.add_annotation(
        x=(operation.call + returned) / 2,
        y=row + 0.3,
        ay=16,
        ax=-30,
        xanchor="right",
        text=f"<b>{_said(operation)}</b> has no place",
        font={"size": 10},
        arrowhead=2,
        arrowsize=0.8,
        standoff=2,
    )


def _draw_points(fig: go.Figure, verdict: Verdict, rows: Mapping[Operation, int]) -> None:
    placed = list(zip(verdict.points, verdict.order, strict=True))
    fig.add_scatter(
        x=[at for at, _ in placed],
        y=[rows[each] for _, each in placed],
        mode="markers",
        marker={"symbol": "diamond", "size": 10, "color": theme.INK, "line": {"color": "#FFFFFF", "width": 1}},
        hovertext=[f"{place}. {_said(each)}" for place, (_, each) in enumerate(placed, 1)],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _said(operation: Operation) -> str:
    given = operation.input if isinstance(operation.input, tuple) else (operation.input,)
    asked = " ".join(str(part) for part in given)
    silent = operation.returned is None or (operation.output is None and given[:1] != ("get",))
    return asked if silent else f"{asked} → {operation.output}"


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
    begin, end = fig.layout.xaxis.range
    late = broken.time > (begin + end) / 2
    fig.add_annotation(
        x=broken.time,
        y=1,
        yref="paper",
        text=f"<b>broken:</b> {broken.what}",
        showarrow=False,
        xanchor="right" if late else "left",
        yanchor="bottom",
    )
    return fig


def sweep(frame: pd.DataFrame, *, x: str, y: str, value: str, title: str | None = None) -> go.Figure:
    """A measure over two knobs as a map: the mean of a cell's runs.

    Each cell carries, in ``customdata``, the capsule of the run that shows most of it.
    """
    for column in (x, y, value):
        if column not in frame.columns:
            raise PyraftError(f"the frame has no column {column!r}; it has {', '.join(map(str, frame.columns))}")
    table = frame.pivot_table(index=y, columns=x, values=value, aggfunc="mean")
    table = table.reindex(index=_in_order(frame[y]), columns=_in_order(frame[x]))
    fig = theme.figure(title, height=420)
    fig.add_heatmap(
        x=[str(each) for each in table.columns],
        y=[str(each) for each in table.index],
        z=table.to_numpy(),
        customdata=_capsules(frame, x, y, value, table),
        texttemplate="%{z:.3g}",
        colorscale=[[0, "#FFFFFF"], [1, theme.PALETTE[4]]],
        colorbar={"title": {"text": value}},
        hovertemplate=f"{x} %{{x}}, {y} %{{y}}<br>{value} %{{z:.4g}}<extra></extra>",
    )
    fig.update_xaxes(title={"text": x}, type="category")
    fig.update_yaxes(title={"text": y}, type="category")
    return fig


def _in_order(column: pd.Series) -> list[Any]:
    """The values of an axis: numbers by size, words as they come first."""
    values = list(column.dropna().unique())
    return sorted(values) if pd.api.types.is_numeric_dtype(column) else values


def _capsules(frame: pd.DataFrame, x: str, y: str, value: str, table: pd.DataFrame) -> list[list[str]] | None:
    if "capsule" not in frame.columns:
        return None
    most = frame.sort_values(value, ascending=False, kind="stable")
    first = most.groupby([y, x])["capsule"].first()
    return [[str(first.get((row, column), "")) for column in table.columns] for row in table.index]
