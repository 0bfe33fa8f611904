"""Pictures of speed: latency of commits, and snapshot transfers."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from pyraft_lab.term_colours import term_colour
from pyraft_lab.trace import given
from pyraft_lab.trace.trace import Trace
from pyraft_lab.viz import bands, palette, theme
from pyraft_lab.viz.drawing import Drawing
from pyraft_lab.viz.source import Drawable, Frames, spans, trace_of, window

MAX_POINTS = 2000
"""Above this number of commands a point represents several."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross")
"""The mark of each term, in addition to its colour."""


def commit_latency(source: Drawable, *, title: str | None = None) -> Drawing:
    """The time from append to commit of each command, in milliseconds; and the median.

    Grey marks times without a leader. With very many commands a point is the slowest of several and shows their number.
    """
    trace = trace_of(source)
    took = _took(trace)
    begin, end = window(trace, None, None)
    fig = theme.figure(
        title or "Time from append to commit of each command",
        _spread(took),
        height=230,
        key="colour and mark: term · dotted line: median · grey: no leader",
        showlegend=took["term"].nunique() in range(2, 9),
    )
    _draw_leaderless(fig, trace, begin, end)
    for term, part in took.groupby("term"):
        _draw_term(fig, int(str(term)), part)
    if len(took):
        fig.add_hline(y=float(took["ms"].median()), line={"dash": "dot", "color": palette.TEXT, "width": 1.2})
    theme.seconds(fig, begin, end)
    top = 1.12 * float(took["ms"].max()) if len(took) else 1.0
    fig.update_yaxes(title={"text": "milliseconds"}, range=[0, top], gridcolor=palette.HAIRLINE, zeroline=False)
    return fig


def _took(trace: Trace | Frames) -> pd.DataFrame:
    """Commands that were committed, in their leader's log: ``index term node appended ms count``."""
    entries = trace.entries[trace.entries["kind"] == "normal"]
    own = entries[entries["node"] == entries["leader"]].dropna(subset=["appended", "committed"])
    every = own.assign(ms=(own["committed"] - own["appended"]) * 1000, count=1)
    if len(every) <= MAX_POINTS:
        return every
    width = (every["appended"].max() - every["appended"].min()) / (MAX_POINTS / 2) or 1.0
    groups = every.groupby([every["appended"] // width, every["term"]], group_keys=False)
    counts = groups["ms"].transform("size")
    return every.assign(count=counts).loc[groups["ms"].idxmax()]


def _spread(took: pd.DataFrame) -> str:
    if took.empty:
        return "no command was committed"
    ms, every = took["ms"], int(took["count"].sum())
    drawn = "" if every == len(took) else f"; a point is the slowest of several, {len(took):,} in all"
    high = f", 95 of 100 within {ms.quantile(0.95):.1f} ms" if every >= 20 else ""
    return f"{every:,} commands: median {ms.median():.1f} ms{high}, slowest {ms.max():.1f} ms{drawn}"


def _draw_leaderless(fig: go.Figure, trace: Trace | Frames, begin: float, end: float) -> None:
    """Grey for times without a leader, from the end of one leadership to the start of the next."""
    reigns = spans(trace, end)
    at = begin
    led: list[Any] = list(reigns[reigns["role"] == "leader"].sort_values("start").itertuples())
    for row in led:
        if float(row.start) > at:
            _shade(fig, at, float(row.start))
        at = max(at, float(row.stop))
    if at < end and len(reigns):
        _shade(fig, at, end)


def _shade(fig: go.Figure, start: float, stop: float) -> None:
    fig.add_shape(
        type="rect",
        x0=start,
        x1=stop,
        y0=0,
        y1=1,
        yref="paper",
        fillcolor=palette.VEIL,
        line={"width": 0},
        layer="below",
    )


def _draw_term(fig: go.Figure, term: int, part: pd.DataFrame) -> None:
    rows: list[Any] = list(part.itertuples())
    fig.add_scatter(
        x=part["appended"],
        y=part["ms"].round(3),
        mode="markers",
        name=f"term {term}",
        marker={
            "color": term_colour(term),
            "symbol": SYMBOLS[(term - 1) % len(SYMBOLS)],
            "size": 8,
            "line": {"color": palette.TEXT, "width": 0.8},
        },
        hovertext=[_told(row) for row in rows],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _told(row: Any) -> str:
    several = f"<br>the slowest of {row.count} about this time" if row.count > 1 else ""
    return (
        f"entry {row.index} of n{row.node} in term {row.term}<br>"
        f"appended at {row.appended:.3f} s, committed after {row.ms:.1f} ms{several}"
    )


# Snapshots


def snapshots(
    source: Drawable, *, start: float | None = None, stop: float | None = None, title: str | None = None
) -> Drawing:
    """Snapshot transfers, a lane for each receiver: every chunk from sending to arrival, lost ones with ×.

    The height of a chunk in its lane is the position of its bytes; the lane is full when all bytes have arrived.
    """
    given.window(start, stop)
    trace = trace_of(source)
    chunks = trace.messages[trace.messages["kind"] == "SnapshotRequest"]
    chunks = chunks[
        (chunks["sent"] >= (start or 0.0)) & (chunks["sent"] <= (stop if stop is not None else float("inf")))
    ]
    title = title or "Snapshot transfers, chunk by chunk"
    if chunks.empty:
        return theme.empty_figure(title, "no snapshot was sent; crash a follower until the entries it needs are purged")
    chunks = chunks.assign(gone=~chunks["fate"].isin(("delivered", "flying", "unknown")))
    chunks["end"] = chunks["received"].fillna(chunks["due"]).fillna(chunks["sent"] + 0.004)
    lanes = sorted(int(node) for node in chunks["dst"].unique())
    fig = theme.figure(
        title,
        _sent(chunks),
        height=96 * len(lanes),
        key="a block: a chunk, from sending to arrival · its height: which bytes · colour: term · ×: lost",
        words=". ".join(_arrivals(node, chunks[chunks["dst"] == node]) for node in lanes),
        barmode="overlay",
    )
    begin, end = float(chunks["sent"].min()), float(chunks["end"].max())
    _draw_chunks(fig, list(chunks.itertuples()), lanes, end - begin)
    theme.lanes(fig, lanes)
    theme.seconds(fig, begin, end)
    return fig


def _sent(chunks: pd.DataFrame) -> str:
    whole = chunks.drop_duplicates(["dst", "prev_index"])
    many = "a snapshot" if len(whole) == 1 else f"{len(whole)} snapshots"
    lost = int(chunks["gone"].sum())
    first: list[Any] = list(whole.head(3).itertuples())
    sizes = ", ".join(f"to n{row.dst} up to entry {row.prev_index} ({row.size} bytes)" for row in first)
    more = " and others" if len(whole) > 3 else ""
    return f"{many} in {len(chunks)} chunks, {lost} of them lost: {sizes}{more}"


def _arrivals(node: int, chunks: pd.DataFrame) -> str:
    there = chunks[~chunks["gone"]]
    last = f", the last at {there['end'].max():.3f} s" if len(there) else ""
    return f"n{node} received {len(there)} of {len(chunks)} chunks{last}"


def _draw_chunks(fig: go.Figure, rows: list[Any], lanes: list[int], room: float) -> None:
    """A block for each chunk: its width is the time on the way, its height its share of the snapshot."""
    least = 0.006 * room
    share = [row.length / max(row.size, 1) for row in rows]
    middle = [
        lanes.index(row.dst) + 0.42 - 0.84 * (row.offset / max(row.size, 1) + part / 2)
        for row, part in zip(rows, share, strict=True)
    ]
    colours = [palette.PAPER if row.gone else term_colour(int(row.term)) for row in rows]
    fig.add_bar(
        orientation="h",
        base=[row.sent for row in rows],
        x=[max(row.end - row.sent, least) for row in rows],
        y=middle,
        width=[0.84 * part for part in share],
        text=["" if row.gone else _bytes(row, room) for row in rows],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        textfont={
            "size": 10,
            "color": [palette.NUMERAL if row.gone else theme.numeral_colour(int(row.term)) for row in rows],
        },
        marker={"color": colours, "line": {"color": palette.TEXT, "width": 1}},
        hovertext=[_chunk(row) for row in rows],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    lost = [(row, y) for row, y in zip(rows, middle, strict=True) if row.gone]
    fig.add_scatter(
        x=[max(row.end, row.sent + least) for row, _ in lost],
        y=[y for _, y in lost],
        mode="markers",
        marker={
            "symbol": "x-thin-open",
            "size": 9,
            "color": palette.TEXT,
            "line": {"width": 1.6, "color": palette.TEXT},
        },
        hovertext=[_chunk(row) for row, _ in lost],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    for lane in range(len(lanes) + 1):
        fig.add_hline(y=lane - 0.5, line={"color": palette.HAIRLINE, "width": 1})


def _bytes(row: Any, room: float) -> str:
    words = f"{row.length} B"
    fits = (row.end - row.sent) / room * bands.WIDTH > len(words) * bands.CHARACTER_WIDTH and row.length / max(
        row.size, 1
    ) > 0.12
    return words if fits else ""


def _chunk(row: Any) -> str:
    fate = f"received at {row.received:.3f} s" if pd.notna(row.received) else str(row.fate)
    return (
        f"n{row.src} to n{row.dst}: bytes {row.offset} to {row.offset + row.length} of {row.size}<br>"
        f"of the snapshot up to entry {row.prev_index}<br>sent at {row.sent:.3f} s, {fate}"
    )
