"""The logs of all servers, aligned by index: where they agree, where they differ, and what is committed."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from pyraft_lab.viz import theme
from pyraft_lab.viz.source import Drawable, nodes_of, trace_of, window

MOST_COLUMNS = 24
"""How many indexes one picture shows; earlier ones are counted at the left."""


def logs(
    source: Drawable,
    *,
    at: float | None = None,
    nodes: list[int] | None = None,
    first: int | None = None,
    title: str | None = None,
) -> go.Figure:
    """Every log as a row of cells at time ``at`` (seconds; the end unless given).

    Hue and numeral are the term of an entry; a solid border means that its server knows it to be committed, a dashed
    one that it does not. ``first`` is the leftmost index; the newest fit the picture unless given.
    """
    trace = trace_of(source)
    lanes = nodes_of(trace, nodes)
    _, when = window(trace, None, at)
    starts = _starts(trace.states, when)
    cells = _cells(trace.entries, lanes, when, starts)
    last = int(cells["index"].max()) if len(cells) else 1
    left = max(1, last - MOST_COLUMNS + 1) if first is None else max(1, first)
    shown = cells[(cells["index"] >= left) & (cells["index"] < left + MOST_COLUMNS)]
    fig = theme.figure(title, height=90 + 46 * max(len(lanes), 1), showlegend=False)
    _draw_cells(fig, shown, lanes)
    _draw_starts(fig, starts, lanes, left)
    _axes(fig, lanes, left, min(last, left + MOST_COLUMNS - 1))
    return fig


def _starts(states: pd.DataFrame, when: float) -> pd.Series:
    """The first index of each node's log at ``when``."""
    return states[states["time"] <= when].groupby("node")["first_index"].last()


def _cells(entries: pd.DataFrame, lanes: list[int], when: float, starts: pd.Series) -> pd.DataFrame:
    """The entries that stood in the logs at ``when``, with ``done`` where they were known to be committed."""
    here = entries["node"].isin(lanes) & (entries["appended"] <= when)
    here &= entries["truncated"].isna() | (entries["truncated"] > when)
    here &= entries["index"] >= entries["node"].map(starts).fillna(1)
    cells = entries[here].drop_duplicates(["node", "index"], keep="last")
    return cells.assign(done=cells["committed"] <= when)


def _draw_cells(fig: go.Figure, cells: pd.DataFrame, lanes: list[int]) -> None:
    place = {node: lane for lane, node in enumerate(lanes)}
    rows: list[Any] = list(cells.itertuples())
    shapes = [_shape(row, place[row.node]) for row in rows]
    fig.update_layout(shapes=shapes)
    fig.add_scatter(
        x=cells["index"],
        y=[place[int(node)] for node in cells["node"].tolist()],
        mode="text",
        text=[_cell_text(row) for row in cells.itertuples()],
        textfont={"color": [theme.numeral_colour(int(term)) for term in cells["term"]], "size": 11},
        hovertext=[_words(row) for row in cells.itertuples()],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _shape(row: Any, lane: int) -> dict[str, Any]:
    line = (
        {"color": theme.INK, "width": 2.2, "dash": "solid"}
        if row.done
        else {"color": theme.INK, "width": 1.2, "dash": "dot"}
    )
    return {
        "type": "rect",
        "x0": row.index - 0.46,
        "x1": row.index + 0.46,
        "y0": lane - 0.38,
        "y1": lane + 0.38,
        "fillcolor": theme.term_colour(int(row.term)),
        "line": line,
        "layer": "below",
    }


def _cell_text(row: Any) -> str:
    return f"<b>{row.term}</b><br><span style='font-size:9px'>{_clip(says(row.kind, row.data))}</span>"


def says(kind: str, data: object) -> str:
    """An entry in a word or two.

    >>> says("normal", "x=1"), says("blank", "")
    ('x=1', 'blank')
    """
    return "blank" if kind == "blank" else str(data)


def _clip(word: str, most: int = 8) -> str:
    return word if len(word) <= most else word[: most - 1] + "…"


def _words(row: Any) -> str:
    state = f"committed at {row.committed:.3f} s" if row.done else "not known to be committed"
    what = says(row.kind, row.data)
    return f"n{row.node}, index {row.index}, term {row.term}<br>{what}<br>appended at {row.appended:.3f} s, {state}"


def _draw_starts(fig: go.Figure, starts: pd.Series, lanes: list[int], left: int) -> None:
    """A grey block at the left for what is in a snapshot or before the picture."""
    for lane, node in enumerate(lanes):
        first = int(starts.get(node, 1))
        hidden = max(first, left) - 1
        if hidden > 0:
            word = f"snapshot to {first - 1}" if first > left else f"+{hidden} before"
            end = max(first, left) - 0.5
            fig.add_shape(
                type="rect",
                x0=left - 1.5,
                x1=end,
                y0=lane - 0.38,
                y1=lane + 0.38,
                fillcolor=theme.NO_TERM,
                line={"color": theme.FAINT, "width": 1},
                layer="below",
            )
            fig.add_annotation(x=(left - 1.5 + end) / 2, y=lane, text=word, showarrow=False, font={"size": 9})


def _axes(fig: go.Figure, lanes: list[int], left: int, right: int) -> None:
    theme.lanes(fig, lanes)
    fig.update_xaxes(
        title={"text": "index"},
        side="top",
        range=[left - (1.6 if left > 1 else 0.7), max(right, left + 11) + 0.7],
        tickvals=list(range(left, right + 1)),
        showgrid=False,
        zeroline=False,
    )
