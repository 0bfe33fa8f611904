"""One encoding for every picture: hue and numeral are the term, border and word the role, glyph the message.

Meaning never depends on colour alone: it must survive print, dark themes and colour blindness.
"""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from pyraft_lab.term_colours import DARK, term_colour
from pyraft_lab.trace import given
from pyraft_lab.viz.palette import FAINT, HAIRLINE, MUTED, NUMERAL, PAPER, TEXT
from pyraft_lab.viz.sketch import Sketch

WIDEST = {"title": 68, "finding": 88}
"""How many characters of each fit a line of a figure on a page of 700 pixels."""
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
ROLE_BORDER = {"leader": 3.0, "candidate": 1.6, "precandidate": 1.6}
"""How heavy the border of each role is, in pixels."""
ROLE_HATCH = {
    "candidate": "/",
    "precandidate": ".",
    "down": "x",
    "no longer heard from": "+",
    "paused": "|",
}
"""The hatching of each role's band; a learner's is narrow, so that its name stays readable."""
ROLE_KEY = {
    "leader": "heavy border: leader",
    "candidate": "hatched: candidate",
    "precandidate": "dotted: asks for pre-votes",
    "learner": "narrow: learner",
    "paused": "grey with bars: paused",
    "down": "grey and crossed: down",
    "no longer heard from": "grey and checked: no longer heard from",
}
"""What border and hatching mean, in words."""
NOT_TAKING_PART = frozenset({"down", "paused", "no longer heard from"})
"""The states of a server that does not take part: grey in every term."""


def numeral_colour(term: int) -> str:
    """The colour of the term's numeral that is readable on its fill."""
    return PAPER if term_colour(term) in DARK else NUMERAL


def node_name(node: int) -> str:
    """The name of a node in every picture and sentence."""
    return f"n{node}"


def figure(
    title: str,
    finding: str = "",
    *,
    height: int,
    key: str = "",
    words: str = "",
    axis_below: bool = True,
    **layout: Any,
) -> Sketch:
    """An empty figure in the style of this library; it needs no network and no template.

    ``title`` says what the figure shows, ``finding`` (below it) the result in these numbers, ``key`` (at the bottom)
    the meaning of the marks, and ``words`` describes the picture for screen readers.
    """
    given.text("title", title)
    lines = wrapped(key) if key else []
    heading = wrap(title, WIDEST["title"])
    legend = 24 if layout.get("showlegend") else 0
    axis = 48 if axis_below else 8
    top, bottom = 18 + 26 * len(heading), axis + 6 + 16 * len(lines) + legend
    fig = Sketch()
    fig.update_layout(
        template="none",
        title={
            "text": "<br>".join(heading),
            "x": 0,
            "y": 1,
            "yanchor": "top",  # of its last line
            "pad": {"l": 12, "t": 10 + 18 * (len(heading) - 1)},
            "font": {"size": 15},
        },
        font={"family": FONT, "size": 12, "color": TEXT},
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        margin={"l": 56, "r": 16, "t": top, "b": bottom},
        height=height + top + bottom,
        hoverlabel={"bgcolor": PAPER, "font": {"family": FONT, "color": TEXT}},
        legend={"orientation": "h", "yref": "container", "y": 0.01, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        meta={"words": words},
        dragmode="pan",
        showlegend=False,
    )
    fig.update_layout(title={"subtitle": {"text": "", "font": {"size": 12, "color": MUTED}}}, **layout)
    add_finding(fig, finding)
    for place, line in enumerate(lines):
        fig.add_annotation(note(0, 0, line, xref="paper", yref="paper", yshift=-(axis + 16 * place), yanchor="top"))
    return fig


def empty_figure(title: str, why: str) -> Sketch:
    """A figure without data; ``why`` gives the reason, and what to do."""
    fig = figure(title, why, height=8, axis_below=False, words=f"nothing to see: {why}")
    fig.update_layout(xaxis={"visible": False}, yaxis={"visible": False})
    return fig


def add_finding(fig: Sketch, finding: str) -> None:
    """Write the finding below the title, with the space that it needs."""
    said, before = wrap(finding, WIDEST["finding"]), fig.layout["title"]["subtitle"]["text"]
    more = 18 * (len(said) - len(before.split("<br>") if before else []))
    fig.update_layout(
        title={"subtitle": {"text": "<br>".join(said)}},
        margin={"t": fig.margin["t"] + more},
        height=fig.height + more,
    )


def wrapped(words: str, width: int = 88) -> list[str]:
    """The parts of a key, separated by dots, in lines that fit a narrow page.

    >>> wrapped("fill: term · border: role", 12)
    ['fill: term', 'border: role']
    """
    lines: list[str] = []
    for part in words.split(" · "):
        if lines and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


def note(x: float, y: float, text: str, **more: Any) -> dict[str, Any]:
    """A note beside the marks of a figure."""
    look = {"xanchor": "left", "showarrow": False, "font": {"size": 11, "color": MUTED}}
    return {"x": x, "y": y, "text": text, **look, **more}


def lanes(fig: Sketch, nodes: Sequence[int], *, names: Sequence[str] | None = None, above: int = 0) -> None:
    """The y axis with one lane for each server, the first on top, and ``above`` additional lanes on top of it."""
    fig.update_y_axis(
        tickvals=list(range(len(nodes))),
        ticktext=list(names or map(node_name, nodes)),
        range=[len(nodes) - 0.45, -0.55 - 0.62 * above],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )


def seconds(fig: Sketch, start: float, stop: float) -> None:
    """The x axis of a chart in which time runs to the right."""
    room = max(stop - start, 1e-3) * 0.02
    fig.update_x_axis(
        title={"text": "seconds", "font": {"size": 12}, "standoff": 4},
        range=[start - room, stop + room],
        gridcolor=HAIRLINE,
        zeroline=False,
        ticks="outside",
        tickcolor=FAINT,
    )
