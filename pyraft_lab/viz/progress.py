"""The end of each log and its commit index over time: a lane for each server."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.term_colours import term_colour
from pyraft_lab.trace.columns import MISSING
from pyraft_lab.viz import bands, palette, theme
from pyraft_lab.viz.figure import draws
from pyraft_lab.viz.sketch import Sketch
from pyraft_lab.viz.source import Run, Source, Span, nodes_of, run_of, window

TALL = 0.8
"""The share of its lane that the longest log fills."""
MAX_STEPS = 1000
"""The maximum number of steps in a lane; if there are more, the last one in each of as many time intervals."""
KEY = "line: last entry in the log · filled: known to be committed there · colour and number: term of the server"


class Point(Struct, frozen=True, gc=False):
    """A server at a time: its term, its last index and its commit index."""

    time: float
    term: int
    last_index: int
    commit: int


Points = Mapping[int, Sequence[Point]]
"""The points of each server, in order of time."""


@draws
def progress(
    source: Source,
    *,
    nodes: list[int] | None = None,
    start: float | None = None,
    stop: float | None = None,
    title: str | None = None,
) -> Sketch:
    """The last index of each log over time, a lane for each server, filled up to its commit index.

    The commit index is not on disk: after a restart it starts at 0 again.
    """
    run = run_of(source)
    lanes = nodes_of(run, nodes)
    begin, end = window(run, start, stop)
    life = bands.role_bands(run, lanes, begin, end)
    every = _points(run, lanes, end)
    most = max([1, *(point.last_index for points in every.values() for point in points)])
    thin = {node: _thinned(points, begin, end) for node, points in every.items()}
    fig = theme.figure(
        title or "Last entry and commit index of each log",
        _finding(thin, most),
        height=52 * max(len(lanes), 1),
        key=KEY if all(one.role != "down" for one in life) else f"{KEY} · grey and crossed: down",
        words=". ".join(_in_words(node, points) for node, points in thin.items()),
        barmode="overlay",
    )
    away = [one for one in life if one.role in theme.NOT_TAKING_PART]
    bands.draw(fig, away, lanes, width=0.84, room=end - begin)
    _draw_committed(fig, list(_stretches(thin, life, end)), lanes, most, end - begin)
    _draw_last(fig, thin, lanes, most, end)
    _draw_ends(fig, thin, lanes)
    theme.lanes(fig, lanes)
    theme.seconds(fig, begin, end)
    fig.update_layout(margin={"r": 96})
    return fig


def _points(run: Run, lanes: Sequence[int], end: float) -> dict[int, list[Point]]:
    """Where a log's end, a commit index or a term is another one than before, up to ``end``."""
    found: dict[int, list[Point]] = {node: [] for node in lanes}
    last: dict[int, list[int]] = {}
    names = ("time", "node", "term", "last_index", "commit")
    for time, node, *now in zip(*run.columns(*(("states", name) for name in names)), strict=True):
        if node in found and time <= end and last.get(node) != now:
            last[node] = now
            found[node].append(Point(time, *(0 if value == MISSING else value for value in now)))
    return found


def _thinned(points: Sequence[Point], begin: float, end: float) -> list[Point]:
    """The points of one server from ``begin`` on; if there are too many, the last in each of many intervals."""
    earlier = [replace(point, time=begin) for point in points if point.time <= begin][-1:]
    shown = [*earlier, *(point for point in points if point.time > begin)]
    if len(shown) <= MAX_STEPS:
        return shown
    width = (end - begin) / MAX_STEPS
    return list({(point.time - begin) // width: point for point in shown}.values())


def _finding(thin: Points, most: int) -> str:
    last = {node: points[-1].commit for node, points in thin.items() if points}
    if not last:
        return "nothing happened"
    low, high = min(last.values()), max(last.values())
    if low == high:
        return f"at the end all servers know that {high} entries are committed; the longest log has {most}"
    behind = ", ".join(f"n{node}" for node, commit in last.items() if commit == low)
    return f"at the end {high} entries are known to be committed; {behind}: only {low}"


def _in_words(node: int, points: Sequence[Point]) -> str:
    if not points:
        return f"n{node} did nothing"
    return f"n{node} ends with {points[-1].last_index} entries, {points[-1].commit} known to be committed"


# What is committed


class Stretch(list[tuple[float, float]]):
    """One filled area: the commit index of a server over time within one term."""

    def __init__(self, node: int, term: int, stop: float) -> None:
        super().__init__()
        self.node, self.term, self.stop = node, term, stop


def _stretches(thin: Points, life: Sequence[Span], end: float) -> Iterator[Stretch]:
    """Split where the term changes and where the server goes down."""
    for node, points in thin.items():
        breaks = sorted(one.start for one in life if one.role == "down" and one.node == node)
        one: Stretch | None = None
        for point in points:
            if one is not None and (one.term != point.term or any(one[0][0] < at <= point.time for at in breaks)):
                one.stop = min([point.time, *(at for at in breaks if one[0][0] < at)])
                yield one
                one = None
            one = one if one is not None else Stretch(node, point.term, end)
            one.append((point.time, point.commit))
        if one is not None:
            one.stop = min([end, *(at for at in breaks if one[0][0] < at)])
            yield one


def _draw_committed(fig: Sketch, every: list[Stretch], lanes: list[int], most: int, room: float) -> None:
    """A filled shape for each term, a trace for each colour; the term's number at its start."""
    for colour in sorted({term_colour(one.term) for one in every}):
        xs: list[float | None] = []
        ys: list[float | None] = []
        for one in every:
            if term_colour(one.term) == colour and one[-1][1]:
                for x, y in _outline(one):
                    xs.append(x)
                    ys.append(_height(lanes.index(one.node), y, most))
                xs.append(None)
                ys.append(None)
        if xs:
            fig.add_scatter(
                x=xs, y=ys, mode="lines", fill="toself", fillcolor=colour, line={"width": 0}, hoverinfo="skip"
            )
    wide = [one for one in every if (one.stop - one[0][0]) / room > 0.03 and one[-1][1] > 0.25 * most and one.term]
    fig.add_scatter(
        x=[one.stop - 0.006 * room for one in wide],
        y=[lanes.index(one.node) + 0.22 for one in wide],
        mode="text",
        text=[f"{one.term}" for one in wide],
        textposition="middle left",
        textfont={"size": 11, "color": [theme.numeral_colour(one.term) for one in wide]},
        hoverinfo="skip",
    )


def _outline(one: Stretch) -> Iterator[tuple[float, float]]:
    """The corners of a staircase that starts and ends at 0."""
    before = 0.0
    for time, commit in one:
        yield time, before
        yield time, commit
        before = commit
    yield one.stop, before
    yield one.stop, 0.0


def _height(lane: int, index: float, most: int) -> float:
    return round(lane + 0.42 - TALL * index / most, 4)


def _draw_last(fig: Sketch, thin: Points, lanes: list[int], most: int, end: float) -> None:
    """The line of the last entry; hover shows both numbers."""
    for lane, node in enumerate(lanes):
        points = thin[node]
        if not points:
            continue
        said = [
            f"n{node}: {point.last_index} entries, {point.commit} known to be committed<br>{point.time:.3f} s"
            for point in points
        ]
        fig.add_scatter(
            x=[*(round(point.time, 6) for point in points), end],
            y=[_height(lane, point.last_index, most) for point in (*points, points[-1])],
            mode="lines",
            name=f"n{node}",
            line={"shape": "hv", "color": palette.TEXT, "width": 1.4},
            hovertext=[*said, said[-1]],
            hovertemplate="%{hovertext}<extra></extra>",
        )


def _draw_ends(fig: Sketch, thin: Points, lanes: list[int]) -> None:
    """The final numbers at the right."""
    for lane, node in enumerate(lanes):
        if points := thin[node]:
            words = f"<b>{points[-1].commit}</b> of {points[-1].last_index}"
            fig.add_annotation(theme.note(1, lane, words, xref="paper", xshift=6))
