"""The end of each log and its commit index over time: a lane for each server."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from pyraft_lab.term_colours import term_colour
from pyraft_lab.viz import bands, palette, theme
from pyraft_lab.viz.drawing import Drawing
from pyraft_lab.viz.source import Drawable, nodes_of, trace_of, window

TALL = 0.8
"""The share of its lane that the longest log fills."""
MAX_STEPS = 1000
"""The maximum number of steps in a lane; if there are more, the last one in each of as many time intervals."""
KEY = "line: last entry in the log · filled: known to be committed there · colour and number: term of the server"


def progress(
    source: Drawable,
    *,
    nodes: list[int] | None = None,
    start: float | None = None,
    stop: float | None = None,
    title: str | None = None,
) -> Drawing:
    """The last index of each log over time, a lane for each server, filled up to its commit index.

    The commit index is not on disk: after a restart it starts at 0 again.
    """
    trace = trace_of(source)
    lanes = nodes_of(trace, nodes)
    begin, end = window(trace, start, stop)
    life = bands.role_bands(trace, lanes, begin, end)
    states = trace.states[trace.states["node"].isin(lanes) & (trace.states["time"] <= end)]
    most = max(1, int(states["last_index"].max())) if len(states) else 1
    thick = {node: _thinned(states[states["node"] == node], begin, end) for node in lanes}
    fig = theme.figure(
        title or "Last entry and commit index of each log",
        _finding(thick, most),
        height=52 * max(len(lanes), 1),
        key=KEY if "down" not in set(life["role"]) else f"{KEY} · grey and crossed: down",
        words=". ".join(_in_words(node, rows) for node, rows in thick.items()),
        barmode="overlay",
    )
    bands.draw(fig, life[life["role"].isin(list(theme.NOT_TAKING_PART))], lanes, width=0.84, room=end - begin)
    _draw_committed(fig, list(_stretches(thick, life, end)), lanes, most, end - begin)
    _draw_last(fig, thick, lanes, most, end)
    _draw_ends(fig, thick, lanes)
    theme.lanes(fig, lanes)
    theme.seconds(fig, begin, end)
    fig.update_layout(margin={"r": 96})
    return fig


def _thinned(rows: pd.DataFrame, begin: float, end: float) -> pd.DataFrame:
    """The steps of one server: its first values, and the values after each change."""
    news = rows["last_index"].diff().ne(0) | rows["commit"].diff().ne(0) | rows["term"].diff().ne(0)
    rows = rows[news.astype("boolean").fillna(value=True)]
    earlier = rows[rows["time"] <= begin].tail(1)
    rows = pd.concat([earlier.assign(time=begin), rows[rows["time"] > begin]])
    if len(rows) <= MAX_STEPS:
        return rows
    return rows.groupby((rows["time"] - begin) // ((end - begin) / MAX_STEPS)).tail(1)


def _finding(thick: dict[int, pd.DataFrame], most: int) -> str:
    last = {node: int(rows["commit"].iloc[-1]) for node, rows in thick.items() if len(rows)}
    if not last:
        return "nothing happened"
    low, high = min(last.values()), max(last.values())
    if low == high:
        return f"at the end all servers know that {high} entries are committed; the longest log has {most}"
    behind = ", ".join(f"n{node}" for node, commit in last.items() if commit == low)
    return f"at the end {high} entries are known to be committed; {behind}: only {low}"


def _in_words(node: int, rows: pd.DataFrame) -> str:
    if rows.empty:
        return f"n{node} did nothing"
    return f"n{node} ends with {rows['last_index'].iloc[-1]} entries, {rows['commit'].iloc[-1]} known to be committed"


# What is committed


class Stretch(list[tuple[float, float]]):
    """One filled area: the commit index of a server over time within one term."""

    def __init__(self, node: int, term: int, stop: float) -> None:
        super().__init__()
        self.node, self.term, self.stop = node, term, stop


def _stretches(thick: dict[int, pd.DataFrame], life: pd.DataFrame, end: float) -> Iterator[Stretch]:
    """Split where the term changes and where the server goes down."""
    downs = life[life["role"] == "down"]
    for node, rows in thick.items():
        breaks = sorted(float(start) for start in downs.loc[downs["node"] == node, "start"])
        one: Stretch | None = None
        told: list[Any] = list(rows.itertuples())
        for row in told:
            time, term, commit = float(row.time), int(row.term), int(row.commit)
            if one is not None and (one.term != term or any(one[0][0] < at <= time for at in breaks)):
                one.stop = min([time, *(at for at in breaks if one[0][0] < at)])
                yield one
                one = None
            one = one if one is not None else Stretch(node, term, end)
            one.append((time, commit))
        if one is not None:
            one.stop = min([end, *(at for at in breaks if one[0][0] < at)])
            yield one


def _draw_committed(fig: go.Figure, every: list[Stretch], lanes: list[int], most: int, room: float) -> None:
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


def _draw_last(fig: go.Figure, thick: dict[int, pd.DataFrame], lanes: list[int], most: int, end: float) -> None:
    """The line of the last entry; hover shows both numbers."""
    for lane, node in enumerate(lanes):
        rows: list[Any] = list(thick[node].itertuples())
        if not rows:
            continue
        said = [
            f"n{node}: {row.last_index} entries, {row.commit} known to be committed<br>{row.time:.3f} s" for row in rows
        ]
        fig.add_scatter(
            x=[*(round(float(row.time), 6) for row in rows), end],
            y=[_height(lane, int(row.last_index), most) for row in (*rows, rows[-1])],
            mode="lines",
            name=f"n{node}",
            line={"shape": "hv", "color": palette.TEXT, "width": 1.4},
            hovertext=[*said, said[-1]],
            hovertemplate="%{hovertext}<extra></extra>",
        )


def _draw_ends(fig: go.Figure, thick: dict[int, pd.DataFrame], lanes: list[int]) -> None:
    """The final numbers at the right."""
    for lane, node in enumerate(lanes):
        if len(rows := thick[node]):
            words = f"<b>{rows['commit'].iloc[-1]}</b> of {rows['last_index'].iloc[-1]}"
            fig.add_annotation(theme.note(1, lane, words, xref="paper", xshift=6))
