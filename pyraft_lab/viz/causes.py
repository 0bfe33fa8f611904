"""The answer of why and why_not as a picture: records and messages up to the fact, with messages that never arrived."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from textwrap import wrap
from typing import Any, NamedTuple

from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    PreVoteResponse,
    VoteResponse,
)
from pyraft_lab.errors import PyraftError
from pyraft_lab.term_colours import term_colour
from pyraft_lab.trace.annotate.table import rule
from pyraft_lab.trace.questions import Explanation
from pyraft_lab.trace.record import ANSWERS, EventId, Fate, Flight, Kind, Record
from pyraft_lab.trace.text import message_name
from pyraft_lab.viz import palette, theme
from pyraft_lab.viz.figure import draws
from pyraft_lab.viz.sketch import Sketch

STOPPED = (Kind.UNDELIVERED, Kind.DROP)
"""Records of messages that did not arrive."""
OUTSIDE = 0
"""The lane of events outside the servers."""
LANE, LINE = 96, 17
"""Heights of a lane and of a line of text, in pixels."""
CLOSE, LOWER = 7, 26
"""The number of records above which their words would meet, and the pixels by which every other one is lower."""
UPWARD, DOWNWARD = 0.35, 0.6
"""The position of a message's letter on its arrow, as a share; near the discs it would cover their text."""
CHARACTERS_PER_LINE = {"reason": 88, "hover": 70, "word": 17}
"""The number of characters in a line of each kind of text."""
BELOW: dict[str, Any] = {
    "xref": "paper",
    "yref": "paper",
    "xshift": -44,
    "yshift": -42,
    "yanchor": "top",
    "align": "left",
    "font": {"size": 12},
}
"""The position of the reasons."""


class Position(NamedTuple):
    """The position of a record: its number in the answer's list, and its lane."""

    x: int
    y: int


@draws
def why(answer: Explanation, *, title: str | None = None) -> Sketch:
    """The causes of a fact, or the reasons against it: the answer of ``trace.why(…)`` or ``trace.why_not(…)``.

    A lane for each server and a disc for each record, oldest first and numbered as in the answer's text; an arrow is
    the message that caused it; one that ends in × never arrived. The colour is the term, the text names the rule, and
    a heavy border marks the last record, which decides. Times are below; distances mean nothing.
    """
    if not isinstance(answer, Explanation):
        raise PyraftError(f"cannot draw a {type(answer).__name__}: give the answer of trace.why(...) or why_not(...)")
    if not answer.records:
        raise PyraftError(f"no record shows it, so there is nothing to draw; the answer is: {answer}")
    lanes = _lanes(answer)
    places = {one.id: Position(x, lanes.index(one.node)) for x, one in enumerate(answer.records, 1)}
    reasons = _reasons(answer)
    fig = theme.figure(title or answer.answer, height=LANE * len(lanes), words=" ".join(answer.reasons))
    below = LINE * len(reasons)
    fig.update_layout(height=fig.height + below, margin={"l": 64, "b": fig.margin["b"] + below})
    _draw_steps(fig, answer.records, places)
    _draw_arrows(fig, answer, places)
    _draw_missed(fig, answer, places, lanes)
    _draw_records(fig, answer, places)
    fig.add_annotation(theme.note(0, 0, "<br>".join(reasons), **BELOW))
    _axes(fig, answer.records, lanes)
    return fig


def _lanes(answer: Explanation) -> list[int]:
    """Every server of the answer, in order; events from outside on top."""
    missed = (node for flight in answer.missed for node in (flight.src, flight.dst))
    return sorted({*(one.node for one in answer.records), *missed})


def _reasons(answer: Explanation) -> list[str]:
    """The reasons as lines, each with a bullet."""
    lines = (wrap(f"• {reason}", CHARACTERS_PER_LINE["reason"], subsequent_indent="   ") for reason in answer.reasons)
    return [line for reason in lines for line in reason]


# Arrows


def _draw_steps(fig: Sketch, records: Sequence[Record], places: Mapping[EventId, Position]) -> None:
    """A faint line from one record to the next on the same server."""
    xs, ys = list[float | None](), list[float | None]()
    for node in sorted({one.node for one in records} - {OUTSIDE}):
        own = [places[one.id] for one in records if one.node == node]
        xs += [*(place.x for place in own), None]
        ys += [*(place.y for place in own), None]
    fig.add_scatter(x=xs, y=ys, mode="lines", line={"color": palette.FAINT, "width": 1.4}, hoverinfo="skip")


def _draw_arrows(fig: Sketch, answer: Explanation, places: Mapping[EventId, Position]) -> None:
    """An arrow from the sender of each message to its effect."""
    for record in answer.records:
        flight = answer.flights.get(record.message or 0)
        if flight is not None and flight.cause in places:
            tail, head = places[flight.cause], places[record.id]
            words = f"{_name(flight)}<br>sent {flight.sent:.4f} s, there {record.time:.4f} s"
            _arrow(fig, flight, tail, (head.x, head.y), words, heard=record.kind not in STOPPED)


def _draw_missed(fig: Sketch, answer: Explanation, places: Mapping[EventId, Position], lanes: list[int]) -> None:
    """Messages that never arrived: an arrow that ends in a cross."""
    for flight in answer.missed:
        if flight.cause in places:
            tail, lane = places[flight.cause], lanes.index(flight.dst)
            head = (tail.x + 0.5, tail.y + 0.8 * (lane - tail.y))
            fate = "under way" if flight.fate is Fate.FLYING else str(flight.fate)
            _arrow(fig, flight, tail, head, f"{_name(flight)}<br>sent {flight.sent:.4f} s, {fate}", heard=False)
            word = theme.note(head[0], head[1], fate, xshift=10, font={"size": 10, "color": palette.TEXT})
            fig.add_annotation(word)


def _arrow(fig: Sketch, flight: Flight, tail: Position, head: tuple[float, float], words: str, *, heard: bool) -> None:
    """One message with its letter; an answer is dotted."""
    answers = isinstance(flight.message, ANSWERS)
    letter_at = DOWNWARD if head[1] > tail.y else UPWARD
    fig.add_scatter(
        x=[tail.x, head[0]],
        y=[tail.y, head[1]],
        mode="lines+markers",
        line={"color": palette.TEXT, "width": 1.3, "dash": "dot" if answers else "solid"},
        marker={
            "symbol": "arrow-open" if answers and heard else "arrow" if heard else "x-thin-open",
            "size": [0, 11],
            "color": palette.TEXT,
            "angleref": "previous" if heard else "up",
            "standoff": 15 if heard else 0,
            "line": {"color": palette.TEXT, "width": 1 if heard else 2},
        },
        hoverinfo="skip",
    )
    fig.add_scatter(
        x=[tail.x + letter_at * (head[0] - tail.x)],
        y=[tail.y + letter_at * (head[1] - tail.y)],
        mode="text",
        text=[_letter(flight.message)],
        textfont={"size": 12, "color": palette.TEXT, "shadow": palette.HALO},
        hovertext=[words],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _letter(message: AnyMessage) -> str:
    """The message's glyph, with the number of its entries, and + or − for yes or no."""
    glyph = theme.GLYPHS[type(message).__name__]
    match message:
        case AppendRequest(entries=entries) if entries:
            return f"{glyph}{len(entries)}"
        case VoteResponse(granted=granted) | PreVoteResponse(granted=granted):
            return f"{glyph}{'+' if granted else '−'}"
        case AppendAccepted() | AppendRefused():
            return f"{glyph}{'+' if isinstance(message, AppendAccepted) else '−'}"
        case _:
            return glyph


def _name(flight: Flight) -> str:
    return f"{message_name(flight.message)}, {theme.node_name(flight.src)} to {theme.node_name(flight.dst)}"


# Records


def _draw_records(fig: Sketch, answer: Explanation, places: Mapping[EventId, Position]) -> None:
    """A numbered disc for each record, with its rule below and the whole sentence on hover."""
    records = answer.records
    terms = [one.step.after.term if one.step is not None else 0 for one in records]
    fig.add_scatter(
        x=[places[one.id].x for one in records],
        y=[places[one.id].y for one in records],
        mode="markers+text",
        marker={
            "symbol": ["circle" if one.step is not None else "square" for one in records],
            "size": 26,
            "opacity": 1,
            "color": [term_colour(term) for term in terms],
            "line": {"color": palette.TEXT, "width": [3.5 if one is records[-1] else 1 for one in records]},
        },
        text=[f"<b>{number}</b>" for number, _ in zip(count(1), records, strict=False)],
        textfont={"size": 12, "color": [theme.numeral_colour(term) for term in terms]},
        hovertext=["<br>".join(wrap(sentence, CHARACTERS_PER_LINE["hover"])) for sentence in answer.lines],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    for record, drop in zip(records, _drops(records, places), strict=True):
        place = places[record.id]
        words = "<br>".join(wrap(_word(record), CHARACTERS_PER_LINE["word"]))
        look = {"xanchor": "center", "yanchor": "top", "yshift": -17 - drop}
        font = {"size": 10, "color": palette.TEXT, "shadow": palette.HALO}
        fig.add_annotation(theme.note(place.x, place.y, words, font=font, **look))


def _drops(records: Sequence[Record], places: Mapping[EventId, Position]) -> Iterator[int]:
    """How much lower the word of each record is, in pixels: every other one of neighbours, where discs are close."""
    before: Position | None = None
    is_low = False
    for record in records:
        place = places[record.id]
        is_low = len(records) > CLOSE and before == (place.x - 1, place.y) and not is_low
        before = place
        yield LOWER if is_low else 0


def _word(record: Record) -> str:
    """The most important rule of a step; for a record without a step, its kind."""
    return str(record.kind) if record.step is None else rule(record.step).label


# Around it


def _axes(fig: Sketch, records: Sequence[Record], lanes: list[int]) -> None:
    theme.lanes(fig, lanes)
    names: list[Any] = ["outside" if node == OUTSIDE else theme.node_name(node) for node in lanes]
    fig.update_y_axis(ticktext=names, range=[len(lanes) - 0.3, -0.45])
    fig.update_x_axis(
        range=[0.5, max(len(records), 2) + 0.6],
        tickvals=list(range(1, len(records) + 1)),
        ticktext=[f"{one.time:.3f} s" for one in records],
        tickfont={"size": 10},
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
