"""Pictures of verdicts: a client history with its order, a broken run around its break, a sweep as a map."""

import math
from collections.abc import Sequence
from numbers import Number
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pyraft_lab.errors import PyraftError, shown
from pyraft_lab.history import History, Operation, from_json
from pyraft_lab.sim.properties import Violation
from pyraft_lab.term_colours import NO_TERM
from pyraft_lab.trace import given
from pyraft_lab.trace.trace import Trace
from pyraft_lab.viz import bands, palette, theme
from pyraft_lab.viz.figure import draws
from pyraft_lab.viz.sketch import Sketch
from pyraft_lab.viz.source import Source
from pyraft_lab.viz.timelines import space_time

if TYPE_CHECKING:
    import pandas as pd

MAX_LINES = 12
"""The maximum number of rows for one client."""


@runtime_checkable
class Recorded(Protocol):
    """Anything with clients: a ``Simulation``, a ``LocalCluster``."""

    @property
    def history(self) -> History:
        """The history of the clients."""


@runtime_checkable
class Verdict(Recorded, Protocol):
    """The result of a check of a history (:class:`pyraft_lab.check.linearize.verdict.Verdict`)."""

    @property
    def order(self) -> Sequence[Operation]:
        """An order that explains every answer."""

    @property
    def points(self) -> Sequence[float]:
        """When each operation of the order may have taken effect."""

    @property
    def blocked(self) -> Any:
        """The operation that fits in no order."""


@runtime_checkable
class HasViolations(Protocol):
    """Anything with invariants: a ``Simulation``."""

    @property
    def trace(self) -> Trace:
        """What happened."""

    @property
    def violations(self) -> Sequence[Violation]:
        """Which invariants were broken, at which event."""


@draws
def history(source: "History | Recorded | pd.DataFrame", *, title: str | None = None) -> Sketch:
    """Clients' operations as bars from call to return; from a ``Verdict`` also when each took effect.

    A diamond is an instant at which the operation may have happened; a hatched bar has no known end; an operation that
    fits in no order has a heavy frame. Concurrent operations of one client are drawn below each other.
    """
    verdict = source if isinstance(source, Verdict) else None
    operations = _operations(source)
    title = title or "What the clients saw"
    if not operations:
        return theme.empty_figure(title, "no client has called yet; call write() or read() first")
    blocked = {verdict.blocked.operation} if verdict is not None and verdict.blocked is not None else set()
    end = max(each.call if each.returned is None else each.returned for each in operations)
    rows = stacked(operations, end)
    clients = sorted({client for client, _ in rows.values()})
    depth = {client: max(line for name, line in rows.values() if name == client) + 1 for client in clients}
    first = {client: sum(depth[other] for other in clients[:place]) for place, client in enumerate(clients)}
    lanes = [first[client] + line for client, line in (rows[place] for place in range(len(operations)))]
    start = min(each.call for each in operations)
    fig = theme.figure(
        title,
        _finding(operations, verdict, blocked),
        height=16 + min(28, 480 // sum(depth.values())) * sum(depth.values()),
        key=_key(operations, verdict, blocked),
        words="; ".join(_said(each) for each in operations[:12]),
        barmode="overlay",
    )
    points = {} if verdict is None else dict(zip(verdict.order, verdict.points, strict=True))
    labels = [_label(each, points.get(each), end, (end - start) or 1.0) for each in operations]
    _draw_bars(fig, operations, lanes, labels, end=end, blocked=blocked)
    places = dict(zip(operations, lanes, strict=True))
    for each in blocked:
        _draw_refusal(fig, each, places[each], start, end)
    if verdict is not None:
        _draw_points(fig, verdict, places)
    fig.update_y_axis(
        tickvals=[first[client] + (depth[client] - 1) / 2 for client in clients],
        ticktext=[f"client {client}" for client in clients],
        range=[sum(depth.values()) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
    for client in clients[1:]:
        fig.add_horizontal(first[client] - 0.5, line={"color": palette.HAIRLINE, "width": 1})
    theme.seconds(fig, start, end)
    fig.update_layout(margin={"l": 84})
    return fig


def _operations(source: "History | Recorded | pd.DataFrame") -> Sequence[Operation]:
    if isinstance(source, History):
        return source.operations
    if isinstance(source, Recorded):
        return source.history.operations
    if {"client", "call", "returned", "input", "output"} <= set(getattr(source, "columns", ())):
        return [_operation(row) for row in source.itertuples()]
    raise PyraftError(f"cannot draw a {type(source).__name__}: give a History, its frame, a Verdict or a Simulation")


def _operation(row: Any) -> Operation:
    returned = float(row.returned) if row.returned == row.returned else None
    asked, output = (from_json(each) if isinstance(each, str) else each for each in (row.input, row.output))
    return Operation(row.client, float(row.call), returned, asked, None if returned is None else output)


def stacked(operations: Sequence[Operation], end: float) -> dict[int, tuple[str, int]]:
    """Client and line of each operation, by its place: the first line of its client that is free when it is called."""
    free: dict[str, list[float]] = {}
    found = {}
    for place, each in sorted(enumerate(operations), key=lambda pair: pair[1].call):
        lines = free.setdefault(str(each.client), [])
        line = next((number for number, until in enumerate(lines) if until <= each.call), len(lines))
        line = min(line, MAX_LINES - 1)
        lines[line : line + 1] = [end if each.returned is None else each.returned]
        found[place] = (str(each.client), line)
    return found


def _finding(operations: Sequence[Operation], verdict: Verdict | None, blocked: set[Operation]) -> str:
    open_ones = sum(each.returned is None for each in operations)
    parts = [f"{len(operations):,} operations" + (f", {open_ones} without an answer" if open_ones else "")]
    if blocked:
        parts.append(f"{next(iter(blocked)).request} fits in no order: not linearizable")
    elif verdict is not None and len(verdict.order):
        parts.append("linearizable: each took effect at its diamond")
    return "; ".join(parts)


def _key(operations: Sequence[Operation], verdict: Verdict | None, blocked: set[Operation]) -> str:
    parts = ["a bar: from call to answer"]
    parts += ["hatched: no answer came"] if any(each.returned is None for each in operations) else []
    parts += ["diamond: where it took effect"] if verdict is not None else []
    return " · ".join([*parts, *(["heavy frame: fits in no order"] if blocked else [])])


def _draw_bars(
    fig: Sketch,
    operations: Sequence[Operation],
    lanes: Sequence[int],
    labels: Sequence[str],
    *,
    end: float,
    blocked: set[Operation],
) -> None:
    length = [(end if each.returned is None else each.returned) - each.call for each in operations]
    fig.add_bar(
        orientation="h",
        base=[each.call for each in operations],
        x=length,
        y=list(lanes),
        width=0.72,
        text=list(labels),
        textposition="inside",
        insidetextanchor="start",
        textangle=0,
        textfont={"size": 11, "color": palette.NUMERAL},
        marker={
            "color": [palette.PAPER if each.returned is None else NO_TERM for each in operations],
            "line": {"color": palette.TEXT, "width": [4 if each in blocked else 1 for each in operations]},
            "pattern": {
                "shape": ["/" if each.returned is None else "" for each in operations],
                "fillmode": "overlay",
                "fgcolor": palette.NUMERAL,
                "fgopacity": 0.3,
            },
        },
        hovertext=[_words(each) for each in operations],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _label(operation: Operation, point: float | None, end: float, room: float) -> str:
    """The words in a bar, if they fit on a narrow page; they begin after a diamond that would cover them."""
    words = _said(operation)
    wide, used = len(words) * bands.CHARACTER_WIDTH, 8.0
    length = ((end if operation.returned is None else operation.returned) - operation.call) / room * bands.WIDTH
    at = -DIAMOND if point is None else (point - operation.call) / room * bands.WIDTH
    gaps = 0 if not -DIAMOND < at < used + wide else math.ceil((at + DIAMOND) / GAP)
    return GAP_CHARACTER * gaps + words if wide + used + gaps * GAP < length else ""


DIAMOND = 8.0
"""Half the width of a diamond and some space, in pixels."""
GAP_CHARACTER, GAP = "\u2003", 11.0
"""A space that pages keep, and its width in pixels."""


def _draw_refusal(fig: Sketch, operation: Operation, row: int, start: float, end: float) -> None:
    """Name the operation that fits in no order beside its bar, which may be too short for text."""
    returned = end if operation.returned is None else operation.returned
    is_late = operation.call - start > end - returned
    place = {"xanchor": "right", "xshift": -8} if is_late else {"xshift": 8}
    look = {"size": 11, "color": palette.TEXT, "shadow": palette.HALO}
    words = f"<b>{_said(operation)}</b> fits in no order"
    fig.add_annotation(theme.note(operation.call if is_late else returned, row, words, font=look, **place))


def _draw_points(fig: Sketch, verdict: Verdict, lanes: dict[Operation, int]) -> None:
    placed = list(zip(verdict.points, verdict.order, strict=True))
    fig.add_scatter(
        x=[at for at, _ in placed],
        y=[lanes[each] for _, each in placed],
        mode="markers",
        marker={"symbol": "diamond", "size": 9, "color": palette.NUMERAL, "line": {"color": palette.PAPER, "width": 1}},
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


@draws
def counterexample(
    source: "HasViolations | Source",
    *,
    at: float | None = None,
    what: str | None = None,
    before: float = 0.15,
    title: str | None = None,
) -> Sketch:
    """The moments before a broken property, message by message; ``before`` is their length in seconds.

    A simulation knows its first violation; for a trace or a frame give ``at``, in seconds, and ``what``.
    """
    given.seconds("at", at)
    given.stretch("before", before)
    given.text("what", what)
    if at is None and isinstance(source, HasViolations) and not source.violations:
        return theme.empty_figure(title or "The steps to the violation", "nothing was violated in this run")
    when, name, told = _broken(source, at, what)
    run = source.trace if isinstance(source, HasViolations) else source
    fig = space_time.sketch(
        run,
        start=max(0.0, when - before),
        stop=when + before / 10,
        title=title or f"The steps to the violation: {name}",
    )
    theme.add_finding(fig, f"violated at {when:.3f} s: {told}")
    fig.add_vertical(when, line={"color": palette.TEXT, "width": 4})
    late = when > sum(fig.layout["xaxis"]["range"]) / 2
    side = {"xanchor": "right", "xshift": -6} if late else {"xanchor": "left", "xshift": 6}
    word = {**side, "yanchor": "top", "font": {"size": 12, "color": palette.TEXT, "shadow": palette.HALO}}
    fig.add_annotation(theme.note(when, 1, "<b>violated here</b>", yref="paper", **word))
    return fig


def _broken(source: "HasViolations | Source", at: float | None, what: str | None) -> tuple[float, str, str]:
    """The time, the name and the description of the violation."""
    if at is not None:
        return at, what or "a property", what or "a property of Raft"
    if not isinstance(source, HasViolations):
        raise PyraftError("for a trace or a frame give the time of the violation: at=, in seconds")
    broken = source.violations[0]
    return broken.time, broken.name, broken.what


@draws
def sweep(frame: "pd.DataFrame", *, x: str, y: str, value: str, title: str | None = None) -> Sketch:
    """A measure over two parameters as a map: the mean of the runs in each cell.

    ``customdata`` of each cell has the capsule of the run with the largest value.
    """
    if getattr(frame, "empty", True):
        raise PyraftError("draw a frame that sweep() returned, with at least one run")
    for name, column in (("x", x), ("y", y), ("value", value)):
        given.name(name, column)
        if column not in frame.columns:
            raise PyraftError(f"the frame has no column {shown(column)}; it has {', '.join(map(str, frame.columns))}")
    capsules = frame["capsule"].tolist() if "capsule" in frame.columns else []
    runs = list(zip(frame[x].tolist(), frame[y].tolist(), frame[value].tolist(), strict=True))
    cells = _cells(runs)
    xs, ys = (_in_order([run[place] for run in runs]) for place in (0, 1))
    table = [[_mean(cells.get((column, row), [])) for column in xs] for row in ys]
    means = [each for row in table for each in row if each is not None]
    low, high = min(means, default=0.0), max(means, default=0.0)
    fig = theme.figure(
        title or f"{value} over {x} and {y}",
        f"mean of the runs of each cell, from {low:.3g} to {high:.3g}",
        height=max(180, 44 * len(table)),
        words="; ".join(f"{y} {name}: {', '.join(map(_short, row))}" for name, row in zip(ys, table, strict=True)),
    )
    fig.add_heatmap(
        x=[str(each) for each in xs],
        y=[str(each) for each in ys],
        z=table,
        customdata=_capsules(runs, capsules, xs, ys),
        texttemplate="%{z:.3g}",
        textfont={"color": palette.NUMERAL},
        colorscale=[[0, palette.SHALLOW], [1, palette.DEEP]],
        xgap=2,
        ygap=2,
        colorbar={"title": {"text": value}},
        hovertemplate=f"{x} %{{x}}, {y} %{{y}}<br>{value} %{{z:.4g}}<extra></extra>",
    )
    fig.update_x_axis(title={"text": x}, type="category")
    fig.update_y_axis(title={"text": y}, type="category")
    return fig


Ran = tuple[Any, Any, Any]
"""One run of a sweep: its two parameters and its measure."""


def _cells(runs: Sequence[Ran]) -> dict[tuple[Any, Any], list[float]]:
    """The measures of each cell; a run without one (``NaN``) counts for nothing."""
    found: dict[tuple[Any, Any], list[float]] = {}
    for column, row, measure in runs:
        if _is_known(measure):
            found.setdefault((column, row), []).append(float(measure))
    return found


def _is_known(value: Any) -> bool:
    """Whether it is neither ``None``, ``NaN`` nor ``<NA>``."""
    return value is not None and str(value) not in {"nan", "<NA>", "NaT"}


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _short(value: float | None) -> str:
    return "no run" if value is None else f"{value:.3g}"


def _in_order(values: Sequence[Any]) -> list[Any]:
    """The values of an axis: numbers by size, text in order of appearance."""
    known = list(dict.fromkeys(value for value in values if _is_known(value)))
    return sorted(known) if all(isinstance(value, Number) for value in known) else known


def _capsules(runs: Sequence[Ran], capsules: Sequence[Any], xs: Sequence[Any], ys: Sequence[Any]) -> Any:
    """The capsule of each cell's run with the largest value; ``None`` if the frame has no capsules."""
    if not capsules:
        return None
    most: dict[tuple[Any, Any], tuple[float, str]] = {}
    for (column, row, measure), capsule in zip(runs, capsules, strict=True):
        known = float(measure) if _is_known(measure) else float("-inf")
        if (column, row) not in most or known > most[column, row][0]:
            most[column, row] = (known, str(capsule))
    return [[most.get((column, row), (0.0, ""))[1] for column in xs] for row in ys]
