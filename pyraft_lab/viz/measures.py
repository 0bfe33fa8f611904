"""Pictures of how far and how fast: progress of the logs, latency of commits, snapshots on their way."""

import pandas as pd
import plotly.graph_objects as go

from pyraft_lab.errors import PyraftError
from pyraft_lab.viz import theme
from pyraft_lab.viz.source import Drawable, nodes_of, trace_of, window

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def progress(
    source: Drawable,
    *,
    nodes: list[int] | None = None,
    start: float | None = None,
    stop: float | None = None,
    title: str | None = None,
) -> go.Figure:
    """How far each log has come: a line for its last index, a heavy one for what it knows to be committed."""
    trace = trace_of(source)
    begin, end = window(trace, start, stop)
    fig = theme.figure(title, height=340)
    for place, node in enumerate(nodes_of(trace, nodes)):
        rows = trace.states[(trace.states["node"] == node) & (trace.states["time"] <= end)]
        dash = DASHES[place % len(DASHES)]
        _step(fig, rows, "last_index", f"n{node} last", {"dash": dash, "width": 1.2, "color": theme.FAINT})
        _step(fig, rows, "commit", f"n{node} committed", {"dash": dash, "width": 2.2, "color": theme.INK})
    theme.seconds(fig, begin, end)
    fig.update_yaxes(title={"text": "index"}, rangemode="tozero", gridcolor="#EEF1F4", zeroline=False)
    return fig


def _step(fig: go.Figure, rows: pd.DataFrame, column: str, name: str, line: dict[str, object]) -> None:
    thin = rows[rows[column].diff().fillna(1) != 0]
    fig.add_scatter(
        x=thin["time"],
        y=thin[column],
        name=name,
        line={"shape": "hv", **line},
        mode="lines",
        hovertemplate=f"{name} %{{y}} at %{{x:.3f}} s<extra></extra>",
    )


def commit_latency(source: Drawable, *, title: str | None = None) -> go.Figure:
    """How long each command took from the leader's log to its commit, in milliseconds, over time; and the median."""
    trace = trace_of(source)
    entries = trace.entries[trace.entries["kind"] == "normal"]
    own = entries[entries["node"] == entries["leader"]].dropna(subset=["committed"])
    took = (own["committed"] - own["appended"]) * 1000
    fig = theme.figure(title, height=320, showlegend=False)
    for term, part in own.groupby("term"):
        number = int(str(term))
        fig.add_scatter(
            x=part["appended"],
            y=took[part.index],
            mode="markers",
            marker={"color": theme.term_colour(number), "size": 8, "line": {"color": theme.INK, "width": 0.8}},
            customdata=part[["index", "node"]],
            hovertemplate=f"entry %{{customdata[0]}} of n%{{customdata[1]}} in term {number}<br>"
            "appended at %{x:.3f} s, committed after %{y:.1f} ms<extra></extra>",
        )
    if len(took):
        fig.add_hline(y=float(took.median()), line={"dash": "dot", "color": theme.INK, "width": 1})
        note = f"median {took.median():.1f} ms, worst {took.max():.1f} ms"
        fig.add_annotation(
            xref="paper", x=1, y=float(took.median()), text=note, showarrow=False, yshift=10, xanchor="right"
        )
    fig.update_xaxes(title={"text": "seconds"}, gridcolor="#EEF1F4", zeroline=False)
    fig.update_yaxes(title={"text": "milliseconds"}, rangemode="tozero", gridcolor="#EEF1F4", zeroline=False)
    return fig


def snapshots(source: Drawable, *, title: str | None = None) -> go.Figure:
    """Snapshots on their way: a lane for each receiver, a block for each chunk, lost ones marked ×.

    The number in a block is how much of the snapshot has been sent with it, in per cent.
    """
    trace = trace_of(source)
    chunks = trace.messages[trace.messages["kind"] == "SnapshotRequest"]
    if chunks.empty:
        raise PyraftError("no snapshot was sent in this run; let a follower fall behind what is purged")
    lanes = sorted(int(node) for node in chunks["dst"].unique())
    fig = theme.figure(title, height=110 + 60 * len(lanes), showlegend=False)
    arrived = chunks["received"].fillna(chunks["sent"])
    lost = ~chunks["fate"].isin(("delivered", "flying"))
    share = (100 * (chunks["offset"] + chunks["length"]) / chunks["size"].clip(lower=1)).astype(int)
    fig.add_scatter(
        x=arrived,
        y=[lanes.index(int(node)) for node in chunks["dst"]],
        mode="markers+text",
        marker={
            "symbol": ["x" if gone else "square" for gone in lost],
            "size": [12 if gone else 30 for gone in lost],
            "color": [
                "#FFFFFF" if gone else theme.term_colour(int(term))
                for gone, term in zip(lost, chunks["term"], strict=True)
            ],
            "line": {"color": theme.INK, "width": 1.2},
        },
        text=["" if gone else f"{each}%" for gone, each in zip(lost, share, strict=True)],
        textfont={"size": 9},
        customdata=chunks[["src", "dst", "offset", "length", "size", "fate"]],
        hovertemplate="n%{customdata[0]} to n%{customdata[1]}: bytes from %{customdata[2]}, %{customdata[3]} of "
        "%{customdata[4]}<br>%{customdata[5]} at %{x:.3f} s<extra></extra>",
    )
    theme.lanes(fig, lanes)
    theme.seconds(fig, float(chunks["sent"].min()), float(arrived.max()))
    return fig
