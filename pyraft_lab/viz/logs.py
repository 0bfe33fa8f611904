"""The logs of all servers, aligned by index: where they agree, where they differ, and what is committed."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from pyraft_lab.term_colours import NO_TERM, term_colour
from pyraft_lab.trace import given
from pyraft_lab.trace.trace import Trace
from pyraft_lab.viz import palette, theme
from pyraft_lab.viz.drawing import Drawing
from pyraft_lab.viz.source import Drawable, Frames, nodes_of, since, spans, trace_of, window

COLUMNS = 14
"""The number of visible indexes; drag to see the others."""
MAX_INDEXES = 60
"""The number of newest indexes in a picture; the left edge shows the number of earlier ones."""
CHARACTERS_PER_CELL = 7
"""The number of characters of a command that fit a cell."""
KEY = "colour and number: term · solid border: known to be committed · dashed: not yet"


def logs(
    source: Drawable,
    *,
    at: float | None = None,
    nodes: list[int] | None = None,
    first: int | None = None,
    title: str | None = None,
) -> Drawing:
    """Every log as a row of cells at time ``at`` (seconds; the end by default).

    Hue and numeral are the term of an entry; a solid border means that its server knows it to be committed, a dashed
    one that it does not. The newest entries are visible, drag to see more; ``first`` sets the leftmost index.
    """
    given.whole("first", first, 1)
    trace = trace_of(source)
    lanes = nodes_of(trace, nodes)
    _, when = window(trace, None, at, ends="at")
    starts = _starts(trace.states, when)
    cells = _cells(trace.entries, lanes, when, starts)
    last = int(cells["index"].max()) if len(cells) else 1
    left = max(1, last - COLUMNS + 1) if first is None else max(1, first)
    held = max(1, last - MAX_INDEXES + 1) if first is None else left
    shown = cells[(cells["index"] >= held) & (cells["index"] < held + MAX_INDEXES)]
    fig = theme.figure(
        title or f"The logs at {when:.3f} s",
        _finding(cells, lanes, last, held),
        height=44 * max(len(lanes), 1),
        key=KEY,
        axis_below=False,
        words=_words(cells, lanes),
    )
    _draw_cells(fig, shown, lanes)
    _draw_starts(fig, starts, lanes, held, left)
    _axes(fig, _names(trace, lanes, when), left, held, last)
    return fig


def _starts(states: pd.DataFrame, when: float) -> pd.Series:
    """The first index of each node's log at ``when``."""
    return states[states["time"] <= when].groupby("node")["first_index"].last()


def _cells(entries: pd.DataFrame, lanes: list[int], when: float, starts: pd.Series) -> pd.DataFrame:
    """The entries in the logs at ``when``; ``done`` says whether they were known to be committed."""
    here = entries["node"].isin(lanes) & (since(entries) <= when)
    here &= entries["truncated"].isna() | (entries["truncated"] > when)
    here &= entries["index"] >= entries["node"].map(starts).fillna(1)
    cells = entries[here].drop_duplicates(["node", "index"], keep="last")
    return cells.assign(done=cells["committed"] <= when)


def _finding(cells: pd.DataFrame, lanes: list[int], last: int, held: int) -> str:
    """The last index at which all logs hold the same entry, as a sentence."""
    alike = cells.groupby("index").agg(nodes=("node", "nunique"), terms=("term", "nunique"))
    same = alike[(alike["nodes"] == len(lanes)) & (alike["terms"] == 1)]
    known = int(cells.loc[cells["done"], "index"].max()) if cells["done"].any() else 0
    parts = [f"committed up to {known}" if known else "nothing is committed yet"]
    if len(same) and int(str(same.index.max())) < last:
        parts.append(f"the logs agree up to {same.index.max()}, the longest ends at {last}")
    if held > 1:
        parts.append(f"indexes from {held} on; use first= for earlier ones")
    return "; ".join(parts)


def _words(cells: pd.DataFrame, lanes: list[int]) -> str:
    return ". ".join(_row_in_words(node, cells[cells["node"] == node]) for node in lanes)


def _row_in_words(node: int, part: pd.DataFrame) -> str:
    if part.empty:
        return f"n{node} holds no entry"
    last: Any = next(part.sort_values("index").tail(1).itertuples())
    known = f"{int(part['done'].sum())} known to be committed"
    return f"n{node} holds entries {part['index'].min()} to {last.index} of term {last.term}, {known}"


def _draw_cells(fig: go.Figure, cells: pd.DataFrame, lanes: list[int]) -> None:
    place = {node: lane for lane, node in enumerate(lanes)}
    rows: list[Any] = list(cells.itertuples())
    fig.update_layout(shapes=[_shape(row, place[row.node]) for row in rows])
    fig.add_scatter(
        x=[row.index for row in rows],
        y=[place[row.node] for row in rows],
        mode="text",
        text=[_cell_text(row) for row in rows],
        textfont={"color": [theme.numeral_colour(int(row.term)) for row in rows], "size": 12},
        hovertext=[_told(row) for row in rows],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _shape(row: Any, lane: int) -> dict[str, Any]:
    solid = {"color": palette.TEXT, "width": 2.2, "dash": "solid"}
    numeral = theme.numeral_colour(int(row.term))  # seen on the fill, whatever the page's colour is
    dashed = {"color": numeral, "width": 1.8, "dash": "4px,3px"}
    return {
        "type": "rect",
        "x0": row.index - 0.45,
        "x1": row.index + 0.45,
        "y0": lane - 0.39,
        "y1": lane + 0.39,
        "fillcolor": term_colour(int(row.term)),
        "line": solid if row.done else dashed,
        "layer": "below",
    }


def _cell_text(row: Any) -> str:
    return f"<b>{row.term}</b><br><span style='font-size:9px'>{_clip(entry_text(row.kind, row.data))}</span>"


def entry_text(kind: str, data: object) -> str:
    """An entry in one or two words.

    >>> entry_text("normal", "x=1"), entry_text("blank", ""), entry_text("membership", "{1,2,3} + {3,4,5}")
    ('x=1', 'blank', 'joint')
    """
    if kind == "membership":
        return "joint" if " + " in str(data) else "voters"
    return "blank" if kind == "blank" else str(data)


def _clip(word: str) -> str:
    return word if len(word) <= CHARACTERS_PER_CELL else word[: CHARACTERS_PER_CELL - 1] + "…"


def _told(row: Any) -> str:
    state = f"known to be committed since {row.committed:.3f} s" if row.done else "not known to be committed"
    what = row.data if row.kind == "membership" else entry_text(row.kind, row.data)
    begin = "present when first seen" if pd.isna(row.appended) else f"appended at {row.appended:.3f} s"
    return f"n{row.node}, index {row.index}, term {row.term}<br>{what}<br>{begin}, {state}"


def _names(trace: Trace | Frames, lanes: list[int], when: float) -> list[str]:
    """The name of each row: the server, and its role if it leads or is down."""
    now = spans(trace, when)
    roles = now[now["start"] <= when].groupby("node")["role"].last()
    said = [str(roles.get(node, "")) for node in lanes]
    return [
        f"<b>n{node}</b> {role}" if role in {"leader", *theme.NOT_TAKING_PART} else f"n{node}"
        for node, role in zip(lanes, said, strict=True)
    ]


def _draw_starts(fig: go.Figure, starts: pd.Series, lanes: list[int], held: int, left: int) -> None:
    """A grey block at the left for entries in a snapshot or before the picture."""
    for lane, node in enumerate(lanes):
        first = int(starts.get(node, 1))
        if max(first, held) == 1:
            continue
        end = max(first, held) - 0.5
        begin = min(left - 1.5, end - 1.0)
        fig.add_shape(
            type="rect",
            x0=held - 1.5,
            x1=end,
            y0=lane - 0.39,
            y1=lane + 0.39,
            fillcolor=NO_TERM,
            line={"color": palette.FAINT, "width": 1},
            layer="below",
        )
        word = f"snapshot to {first - 1}" if end - begin > 1.8 else f"to {first - 1}"
        word = word if first > held else f"+{held - 1}"
        fig.add_annotation(
            theme.note((begin + end) / 2, lane, word, xanchor="center", font={"size": 10, "color": palette.NUMERAL})
        )


def _axes(fig: go.Figure, names: list[str], left: int, held: int, last: int) -> None:
    theme.lanes(fig, range(len(names)), names=names)
    fig.update_xaxes(
        side="top",
        range=[left - (1.6 if left > 1 else 0.7), max(min(last, left + COLUMNS - 1), left + 11) + 0.6],
        tickvals=list(range(held, last + 1)),
        showgrid=False,
        zeroline=False,
    )
    longest = max((len(name) for name in names), default=0)
    fig.add_annotation(
        theme.note(0, 1, "index", xref="paper", yref="paper", xanchor="right", yanchor="bottom", xshift=-8)
    )
    fig.update_layout(
        margin={"l": 56 if longest <= 3 else 92, "t": fig.layout.margin.t + 18}, height=fig.layout.height + 18
    )
