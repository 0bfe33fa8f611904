"""Pictures in which time runs to the right: the roles of the servers, and the messages between them."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from pyraft_lab.viz import arrows, bands, palette, theme
from pyraft_lab.viz.drawing import Drawing
from pyraft_lab.viz.source import Drawable, nodes_of, trace_of, window

MARKS = {"crash": ("x", "crashes"), "restart": ("triangle-up", "restarts")}
MARKS_KEY = {"crash": "✕ crashes", "restart": "▲ restarts"}


def roles(
    source: Drawable,
    *,
    nodes: list[int] | None = None,
    start: float | None = None,
    stop: float | None = None,
    title: str | None = None,
) -> Drawing:
    """The role of each server over time: a lane for each; hue and numeral are its term, border and hatching its role.

    ``start`` and ``stop`` are seconds; the whole run by default. A lane above shows which links were cut.
    """
    trace = trace_of(source)
    lanes = nodes_of(trace, nodes)
    begin, end = window(trace, start, stop)
    life = bands.role_bands(trace, lanes, begin, end)
    fig = theme.figure(
        title or "The role of each server over time",
        bands.finding(life),
        height=44 * max(len(lanes), 1),
        key=bands.key(life),
        words=bands.bands_in_words(life, lanes),
        barmode="overlay",
    )
    bands.draw(fig, life, lanes, width=0.66, room=end - begin)
    _axes(fig, lanes, begin, end, above=bands.draw_cuts(fig, trace, begin, end))
    return fig


def _axes(fig: Drawing, lanes: list[int], begin: float, end: float, *, above: bool) -> None:
    theme.lanes(fig, lanes, above=int(above))
    theme.seconds(fig, begin, end)
    if above:
        fig.update_layout(height=fig.layout.height + 26)


def space_time(
    source: Drawable,
    *,
    nodes: list[int] | None = None,
    start: float | None = None,
    stop: float | None = None,
    heartbeats: bool = True,
    title: str | None = None,
) -> Drawing:
    """Lamport's chart: a lane for each server, time to the right, an arrow for each message; lost ones end in ×.

    The colour and numeral of a lane are the term. A letter names the message (V vote, A append, H heartbeat,
    S snapshot, P pre-vote, T timeout now); an answer is dotted and has a hollow head, + means yes and − no. If
    there are too many arrows, those that leave together become one, and the figure says so; no message is left out.
    """
    trace = trace_of(source)
    lanes = nodes_of(trace, nodes)
    begin, end = window(trace, _first_news(trace.messages) if start is None else start, stop)
    life = bands.role_bands(trace, lanes, begin, end)
    seen = arrows.visible(trace.messages, lanes, begin, end, heartbeats=heartbeats)
    fig = theme.figure(
        title or "Every message, from sender to receiver",
        f"{bands.finding(life)}; {arrows.finding(seen)}",
        height=78 * max(len(lanes), 1),
        key=" · ".join([arrows.key(seen), bands.key(life), *_marks_key(trace.events, life)]),
        words=f"{bands.bands_in_words(life, lanes, most=3)}. {arrows.counts_in_words(seen)}",
        barmode="overlay",
        showlegend=True,
    )
    bands.draw(fig, life, lanes, width=0.27, room=end - begin, indent="\u2003\u2002")
    arrows.draw(fig, seen, lanes, begin, end)
    _draw_marks(fig, trace.events, lanes, begin, end)
    _axes(fig, lanes, begin, end, above=bands.draw_cuts(fig, trace, begin, end))
    return fig


def _marks_key(events: pd.DataFrame, life: pd.DataFrame) -> list[str]:
    """The meaning of the marks that are on the lanes."""
    done = set(events.loc[events["time"] > 0, "kind"])
    leads = ["◆ becomes leader"] if "leader" in set(life["role"]) else []
    return [*leads, *(says for kind, says in MARKS_KEY.items() if kind in done)]


def _first_news(messages: pd.DataFrame) -> float | None:
    """The start of the chart: a little before the first message, since nothing happens until the first timer fires."""
    if messages.empty:
        return None
    first, last = float(messages["sent"].min()), float(messages["sent"].max())
    return max(0.0, first - max(0.08 * (last - first), 0.003))


def _draw_marks(fig: go.Figure, events: pd.DataFrame, lanes: list[int], begin: float, end: float) -> None:
    """Crashes and restarts on the lane; a diamond where a node becomes leader."""
    place = {node: lane for lane, node in enumerate(lanes)}
    stood = events.dropna(subset=["role"])
    leads = stood["role"].astype(str).eq("leader")
    begins = leads & ~leads.groupby(stood["node"]).shift(fill_value=False)
    turns = events.assign(begins=begins.reindex(events.index, fill_value=False))
    seen = turns[(turns["time"] >= begin) & (turns["time"] <= end) & turns["node"].isin(lanes)]
    acts = seen[(seen["time"] > 0) | (seen["kind"] != "restart")]
    for kind, (symbol, says) in MARKS.items():
        _mark(fig, acts[acts["kind"] == kind], place, symbol, says)
    _mark(fig, seen[seen["begins"]], place, "diamond", "becomes leader")


def _mark(fig: go.Figure, rows: pd.DataFrame, place: dict[int, int], symbol: str, says: str) -> None:
    if len(rows):
        told: list[Any] = list(rows.itertuples())
        fig.add_scatter(
            x=rows["time"],
            y=[place[row.node] for row in told],
            mode="markers",
            name=says,
            marker={
                "symbol": symbol,
                "size": 11,
                "color": palette.NUMERAL,
                "line": {"color": palette.PAPER, "width": 1},
            },
            hovertext=[f"n{row.node} {says} at {row.time:.3f} s" for row in told],
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,
            zorder=2,
        )
