"""The ring of a static picture: servers, voter sets, messages on their way, cut links."""

from collections.abc import Collection, Iterator, Sequence
from html import escape
from itertools import combinations
from math import cos, hypot, pi, sin
from typing import NamedTuple

from pyraft_lab.engine.state import Candidate, PreCandidate
from pyraft_lab.engine.types import NodeId
from pyraft_lab.lab.cluster_view import ClusterView, ServerView
from pyraft_lab.lab.decision import decisions
from pyraft_lab.lab.scene import yes_or_no
from pyraft_lab.term_colours import NO_TERM, term_colour
from pyraft_lab.trace.record import ANSWERS, Flight
from pyraft_lab.trace.text import message_name
from pyraft_lab.viz.palette import FAINT, HAIRLINE, HELD, MUTED, NUMERAL, PAPER, TEXT
from pyraft_lab.viz.theme import GLYPHS, node_name, numeral_colour

SCENE = 430
"""The width of the ring's half of the picture."""
ARCS = ((38.0, "", 1), (41.0, ' stroke-dasharray="4 3"', 0))
"""The arcs of the old and the new set: distance, style, and side (1: left)."""


class Position(NamedTuple):
    """The position of a server, and the side of its name."""

    x: float
    y: float
    right: bool


def text(x: float, y: float, words: object, **style: str) -> str:
    """Text at a position."""
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(str(words))}</text>'


def ring(view: ClusterView) -> Iterator[str]:
    """Servers on a ring, the first on top, clockwise; links between them; messages on their way."""
    places = _positions(sorted(view.servers))
    yield from _links(places, view.cuts)
    sets = _joint_sets(view)
    for node, place in places.items():
        yield from _arcs(node, place, sets)
        yield from _server(node, view.servers[node], place, places)
    for flight in view.flying.values():
        if flight.src in places and flight.dst in places:
            yield from _message(flight, view.time, places[flight.src], places[flight.dst])


def _positions(nodes: Sequence[NodeId]) -> dict[NodeId, Position]:
    places = {}
    for number, node in enumerate(nodes):
        angle = -pi / 2 + 2 * pi * number / len(nodes)
        places[node] = Position(SCENE / 2 + 112 * cos(angle), 206 + 112 * sin(angle), cos(angle) > -0.01)
    return places


def _links(places: dict[NodeId, Position], cuts: Collection[tuple[NodeId, NodeId]]) -> Iterator[str]:
    """A line between every two servers; none if both directions are cut, and a bar at a receiver that is cut off."""
    for one, other in combinations(places, 2):
        gone = [(src, dst) for src, dst in ((one, other), (other, one)) if (src, dst) in cuts]
        a, b = places[one], places[other]
        if len(gone) < 2:
            yield f'<path d="M{a.x:.0f} {a.y:.0f}L{b.x:.0f} {b.y:.0f}" stroke="{HAIRLINE}"/>'
        for src, dst in gone:
            yield _bar(places[src], places[dst])


def _bar(src: Position, dst: Position) -> str:
    """A short bar across a link whose messages do not arrive."""
    dx, dy = dst.x - src.x, dst.y - src.y
    length = hypot(dx, dy) or 1.0
    x, y, across, along = src.x + dx / length * 50, src.y + dy / length * 50, dx / length * 7, dy / length * 7
    return (
        f'<path d="M{x - along:.1f} {y + across:.1f}L{x + along:.1f} {y - across:.1f}" '
        f'stroke="{MUTED}" stroke-width="2.5"/>'
    )


def _joint_sets(view: ClusterView) -> list[frozenset[NodeId]]:
    """Both voter sets, if the newest log has a joint membership."""
    newest = max((one.state for one in view.servers.values()), key=lambda state: state.log.last, default=None)
    return list(newest.membership.configs) if newest is not None and newest.membership.is_joint else []


def _arcs(node: NodeId, place: Position, sets: Sequence[frozenset[NodeId]]) -> Iterator[str]:
    """An arc for each set a server votes in: the old one inside and solid, the new one outside and dashed."""
    for (radius, dash, sweep), members in zip(ARCS, sets, strict=False):
        if node in members:
            dx, dy = radius * cos(pi / 3.2), radius * sin(pi / 3.2)
            x = place.x - dx if sweep else place.x + dx
            yield (
                f'<path d="M{x:.1f} {place.y + dy:.1f}A{radius} {radius} 0 0 {sweep} {x:.1f} {place.y - dy:.1f}" '
                f'fill="none" stroke="{TEXT}" stroke-width="3"{dash}/>'
            )


def _server(node: NodeId, server: ServerView, place: Position, places: dict[NodeId, Position]) -> Iterator[str]:
    state, still = server.state, not server.up or server.paused
    role = _role(server)
    fill = NO_TERM if still else term_colour(state.term)
    dash = {"candidate": ' stroke-dasharray="8 5"', "precandidate": ' stroke-dasharray="1 5"'}.get(role, "")
    width = {"leader": 2.4, "candidate": 2.6, "precandidate": 2.6}.get(role, 1.5)
    circle = f'<circle cx="{place.x:.1f}" cy="{place.y:.1f}"'
    size = 24 if role == "learner" else 30
    if role == "leader":
        yield f'{circle} r="33.6" fill="none" stroke="{TEXT}" stroke-width="1.8"/>'
    yield f'{circle} r="{size}" fill="{fill}" stroke="{FAINT if still else TEXT}" stroke-width="{width}"{dash}/>'
    mark = {"down": "×", "no longer heard from": "×", "paused": "‖"}.get(role, str(state.term))
    ink = FAINT if still else numeral_colour(state.term)
    yield text(place.x, place.y + 7, mark, font_size="19", font_weight="bold", text_anchor="middle", fill=ink)
    x, anchor = (place.x + 49, "start") if place.right else (place.x - 49, "end")
    yield text(x, place.y - 1, node_name(node), font_size="13", font_weight="bold", text_anchor=anchor)
    heavy = {"font_weight": "bold"} if role in {"leader", "candidate"} else {"fill": MUTED}
    yield text(x, place.y + 14, role, text_anchor=anchor, **heavy)
    yield from _votes(server, place, places)


def _role(server: ServerView) -> str:
    if not server.up:
        return "no longer heard from" if server.silent else "down"
    return "paused" if server.paused else server.state.role_name


def _votes(server: ServerView, place: Position, places: dict[NodeId, Position]) -> Iterator[str]:
    role = server.state.role
    if not isinstance(role, (Candidate, PreCandidate)) or not server.up:
        return
    for voter in sorted(server.state.membership.voters & places.keys()):
        angle = -pi / 2 + 2 * pi * sorted(places).index(voter) / len(places)
        x, y = place.x + 22 * cos(angle), place.y + 22 * sin(angle)
        fill = NUMERAL if voter in role.granted else "none"
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.8" fill="{fill}" stroke="{NUMERAL}"/>'


def _message(flight: Flight, now: float, src: Position, dst: Position) -> Iterator[str]:
    due = flight.due if flight.due is not None else now
    part = min(1.0, max(0.0, (now - flight.sent) / max(due - flight.sent, 1e-9)))
    dx, dy = dst.x - src.x, dst.y - src.y
    length = hypot(dx, dy) or 1.0
    along, bend = 40 / length + (1 - 80 / length) * part, 52 * part * (1 - part) + 4
    x, y = src.x + dx * along - dy / length * bend, src.y + dy * along + dx / length * bend
    answer = isinstance(flight.message, ANSWERS)
    glyph = GLYPHS[type(flight.message).__name__] + yes_or_no(flight.message)
    fill, ink = (PAPER, NUMERAL) if answer else (HELD, PAPER)
    yield f"<g><title>{escape(message_name(flight.message))}</title>"
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="11" fill="{fill}" stroke="{TEXT}" stroke-width="1.5"/>'
    size = f"{min(11.0, 25 / len(glyph)):.1f}"
    yield text(x, y + 4, glyph, font_size=size, font_weight="bold", text_anchor="middle", fill=ink) + "</g>"


# Voter sets


def tallies(view: ClusterView, *, plain: bool = False) -> Iterator[str]:
    """A row for each voter set of the decision: the servers that agree (dark), and the majority it needs.

    ``plain``: only votes, and copies of a client's write.
    """
    found = decisions(view)
    decides = found and found[0].what != "leads" and not (plain and found[0].what == "commit" and not found[0].writes)
    rows = found[0].sets if decides else ()
    for row, one in enumerate(rows):
        y = 396 - 24 * (len(rows) - 1 - row)
        if len(rows) > 1:
            _, dash, _ = ARCS[row % 2]
            yield f'<path d="M16 {y - 4}h26" stroke="{TEXT}" stroke-width="3"{dash}/>'
        yield text(50 if len(rows) > 1 else 16, y, one.name, font_weight="bold")
        for place, node in enumerate(one.of):
            yield from _chip(110 + 34 * place, y, node, agrees=node in one.yes)
        count, need = len(one.yes), one.need
        words = f"{count} of {len(one.of)}{', enough' if count >= need else f', needs {need}'}"
        yield text(118 + 34 * len(one.of), y, words, font_weight="bold")


def _chip(x: float, y: float, node: NodeId, *, agrees: bool) -> Iterator[str]:
    fill, ink = (HELD, PAPER) if agrees else (PAPER, NUMERAL)
    yield f'<rect x="{x}" y="{y - 14}" width="29" height="19" rx="4" fill="{fill}" stroke="{TEXT}" stroke-width="1.3"/>'
    yield text(x + 14.5, y, node_name(node), font_size="11", font_weight="bold", text_anchor="middle", fill=ink)
