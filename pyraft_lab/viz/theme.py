"""One encoding for every picture: hue and numeral are the term, border and word the role, glyph the message.

Meaning never rests on colour alone, so that it survives print, dark themes and colour-weak eyes.
"""

from typing import Any

import plotly.graph_objects as go

PALETTE = ("#56B4E9", "#F0E442", "#009E73", "#E69F00", "#0072B2", "#D55E00")
"""Okabe and Ito's colours in the order of terms: neighbours differ most, also for colour-weak eyes."""
NO_TERM = "#E4E7EB"
"""Before the first term."""
INK = "#1F2933"
"""Lines and words."""
FAINT = "#9AA5B1"
"""What stands back: heartbeats, grid lines, what is down."""
FONT = "DejaVu Sans, Verdana, sans-serif"

GLYPHS = {
    "PreVoteRequest": "P",
    "PreVoteResponse": "P",
    "VoteRequest": "V",
    "VoteResponse": "V",
    "AppendRequest": "A",
    "AppendAccepted": "A",
    "AppendRefused": "A",
    "HeartbeatRequest": "H",
    "HeartbeatResponse": "H",
    "SnapshotRequest": "S",
    "SnapshotResponse": "S",
    "TimeoutNow": "T",
    "Outdated": "O",
}
"""The letter of each kind of message; an answer is drawn hollow."""
ROLE_BORDER = {"leader": 3.0, "candidate": 2.0, "precandidate": 2.0, "follower": 0.8, "learner": 0.8, "down": 0.8}
"""How heavy the border of each role is, in pixels."""
ROLE_HATCH = {"leader": "", "candidate": "/", "precandidate": ".", "follower": "", "learner": "-", "down": "x"}
"""The hatching of each role's band."""


def term_colour(term: int) -> str:
    """The fill of a term.

    >>> term_colour(1), term_colour(7) == term_colour(1), term_colour(0)
    ('#56B4E9', True, '#E4E7EB')
    """
    return PALETTE[(term - 1) % len(PALETTE)] if term > 0 else NO_TERM


def numeral_colour(term: int) -> str:
    """The colour in which the term's numeral is readable on its fill."""
    return "#FFFFFF" if term_colour(term) == "#0072B2" else INK


def node_name(node: int) -> str:
    """How a node is called in every picture and sentence."""
    return f"n{node}"


def figure(title: str | None, *, height: int, **layout: Any) -> go.Figure:
    """An empty figure in the house's dress; it needs no network and no template."""
    fig = go.Figure()
    fig.update_layout(
        template="none",
        title={"text": title or "", "x": 0.01, "font": {"size": 15}},
        font={"family": FONT, "size": 12, "color": INK},
        paper_bgcolor="#FFFFFF",
        plot_bgcolor="#FFFFFF",
        margin={"l": 56, "r": 16, "t": 48 if title else 20, "b": 44},
        height=height,
        hoverlabel={"bgcolor": "#FFFFFF", "font": {"family": FONT, "color": INK}},
        legend={"orientation": "h", "y": 1.02, "x": 1, "xanchor": "right", "yanchor": "bottom"},
    )
    fig.update_layout(**layout)
    return fig


def lanes(fig: go.Figure, nodes: list[int]) -> None:
    """The y axis of a chart whose lanes are servers, the first on top."""
    fig.update_yaxes(
        tickvals=list(range(len(nodes))),
        ticktext=[node_name(node) for node in nodes],
        range=[len(nodes) - 0.45, -0.55],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )


def seconds(fig: go.Figure, start: float, stop: float) -> None:
    """The x axis of a chart in which time runs to the right."""
    room = max(stop - start, 1e-3) * 0.02
    fig.update_xaxes(
        title={"text": "seconds"},
        range=[start - room, stop + room],
        gridcolor="#EEF1F4",
        zeroline=False,
        ticks="outside",
    )
