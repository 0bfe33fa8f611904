"""One moment as a still picture: what a reader sees where no script runs, with the same marks as the moving one."""

from collections.abc import Iterator, Sequence
from html import escape
from math import cos, hypot, pi, sin
from typing import NamedTuple

from pyraft_lab.engine.state import Candidate, Leader, PreCandidate
from pyraft_lab.engine.types import NodeId
from pyraft_lab.lab.decision import decisions
from pyraft_lab.lab.moment import Moment, Server
from pyraft_lab.lab.scene import sign
from pyraft_lab.lab.tape import Tape
from pyraft_lab.lab.telling import written
from pyraft_lab.trace.recorder import ANSWERS, Flight
from pyraft_lab.trace.words import message_name
from pyraft_lab.viz.drawing import image
from pyraft_lab.viz.theme import FAINT, FONT, GLYPHS, INK, node_name, numeral_colour, term_colour

__all__ = ["alt", "image", "still"]

WIDTH, SCENE, HEIGHT = 960, 430, 500
COLUMNS = 12
CELL = 36


class Place(NamedTuple):
    """Where a server is drawn."""

    x: float
    y: float
    up: bool


def still(moment: Moment, tape: Tape, seen: int, sentence: str) -> str:
    """An SVG picture of a moment, with the tape up to event ``seen`` and what just happened in words."""
    parts = [*_headline(moment), *_ring(moment), *_logs(moment), *_told(sentence), *_tape(tape, moment, seen)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="{FONT}" font-size="12" fill="{INK}"><rect width="100%" height="100%" fill="#FFFFFF"/>'
        + "".join(parts)
        + "</svg>"
    )


def _text(x: float, y: float, words: object, **style: str) -> str:
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(str(words))}</text>'


def _headline(moment: Moment) -> Iterator[str]:
    found = decisions(moment)
    yield _text(16, 26, " · ".join(one["title"] for one in found) or "Nobody leads", font_size="15", font_weight="bold")
    if found:
        yield _text(16, 44, found[0]["line"], fill="#52606D")


# The ring


def _places(nodes: Sequence[NodeId]) -> dict[NodeId, Place]:
    """Servers on a ring, the first on top, clockwise."""
    places = {}
    for number, node in enumerate(nodes):
        angle = -pi / 2 + 2 * pi * number / len(nodes)
        places[node] = Place(SCENE / 2 + 150 * cos(angle), 236 + 124 * sin(angle), sin(angle) < -0.05)
    return places


def _ring(moment: Moment) -> Iterator[str]:
    places = _places(sorted(moment.servers))
    for one in places.values():
        for other in places.values():
            yield f'<path d="M{one.x:.0f} {one.y:.0f}L{other.x:.0f} {other.y:.0f}" stroke="#EEF1F4"/>'
    for node, place in places.items():
        yield from _server(node, moment.servers[node], place, places)
    for flight in moment.flying.values():
        if flight.src in places and flight.dst in places:
            yield from _message(flight, moment.time, places[flight.src], places[flight.dst])


def _server(node: NodeId, server: Server, place: Place, places: dict[NodeId, Place]) -> Iterator[str]:
    state, still = server.state, not server.up or server.paused
    role = "down" if not server.up else "paused" if server.paused else type(state.role).__name__.lower()
    fill = "#EEF1F4" if still else term_colour(state.term)
    dash = {"candidate": ' stroke-dasharray="8 5"', "precandidate": ' stroke-dasharray="1 5"'}.get(role, "")
    width = {"leader": 2.4, "candidate": 2.6, "precandidate": 2.6}.get(role, 1.5)
    circle = f'<circle cx="{place.x:.1f}" cy="{place.y:.1f}"'
    if role == "leader":
        yield f'{circle} r="33.6" fill="none" stroke="{INK}" stroke-width="1.8"/>'
    yield f'{circle} r="30" fill="{fill}" stroke="{FAINT if still else INK}" stroke-width="{width}"{dash}/>'
    mark = {"down": "×", "paused": "‖"}.get(role, str(state.term))
    ink = FAINT if still else numeral_colour(state.term)
    yield _text(place.x, place.y + 7, mark, font_size="19", font_weight="bold", text_anchor="middle", fill=ink)
    label = f"{node_name(node)} {role}"
    y = place.y - 40 if place.up else place.y + 50
    yield _text(place.x, y, label, font_size="13", font_weight="bold", text_anchor="middle")
    yield from _votes(server, place, places)


def _votes(server: Server, place: Place, places: dict[NodeId, Place]) -> Iterator[str]:
    role = server.state.role
    if not isinstance(role, (Candidate, PreCandidate)) or not server.up:
        return
    for voter in sorted(server.state.membership.voters & places.keys()):
        angle = -pi / 2 + 2 * pi * sorted(places).index(voter) / len(places)
        x, y = place.x + 22 * cos(angle), place.y + 22 * sin(angle)
        fill = INK if voter in role.granted else "none"
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.8" fill="{fill}" stroke="{INK}"/>'


def _message(flight: Flight, now: float, src: Place, dst: Place) -> Iterator[str]:
    due = flight.due if flight.due is not None else now
    part = min(1.0, max(0.0, (now - flight.sent) / max(due - flight.sent, 1e-9)))
    dx, dy = dst.x - src.x, dst.y - src.y
    length = hypot(dx, dy) or 1.0
    along, bend = 40 / length + (1 - 80 / length) * part, 52 * part * (1 - part) + 4
    x, y = src.x + dx * along - dy / length * bend, src.y + dy * along + dx / length * bend
    answer = isinstance(flight.message, ANSWERS)
    glyph = GLYPHS[type(flight.message).__name__] + sign(flight.message)
    fill, ink = ("#FFFFFF", INK) if answer else (INK, "#FFFFFF")
    yield f"<g><title>{escape(message_name(flight.message))}</title>"
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="11" fill="{fill}" stroke="{INK}" stroke-width="1.5"/>'
    yield _text(x, y + 4, glyph, font_size="11", font_weight="bold", text_anchor="middle", fill=ink) + "</g>"


# The logs


def _logs(moment: Moment) -> Iterator[str]:
    servers = [(node, moment.servers[node]) for node in sorted(moment.servers)]
    last = max((server.state.log.last.index for _, server in servers), default=0)
    first = max(1, last - COLUMNS + 1)
    step = min(60, 320 // max(len(servers), 1))
    yield _text(SCENE + 30, 26, "Logs", font_size="15", font_weight="bold")
    for index in range(first, first + COLUMNS):
        yield _text(_x(index, first), 52, index, font_size="10.5", fill="#52606D", text_anchor="middle")
    for row, (node, server) in enumerate(servers):
        y = 62 + row * step
        yield _text(SCENE + 30, y + 21, node_name(node), font_size="13", font_weight="bold")
        yield from _cells(server, first, y)
        yield from _gap(server, first, y)


def _x(index: int, first: int) -> float:
    return SCENE + 84 + (index - first) * CELL


def _gap(server: Server, first: int, y: float) -> Iterator[str]:
    """Why a row is empty: its log ends further left, and perhaps a snapshot is on its way."""
    state = server.state
    last = state.log.last.index
    if last >= first:
        return
    words = f"its log ends with entry {last}" if last else "its log is empty"
    if state.incoming is not None:
        words += f"; {state.incoming.offset} of {state.incoming.meta.size} bytes of a snapshot are here"
    yield _text(_x(first, first) - 16, y + 21, words, font_size="11.5", fill="#52606D")


def _cells(server: Server, first: int, y: float) -> Iterator[str]:
    log = server.state.log
    if log.start.index >= first:
        x = _x(first, first) - 16
        width = _x(log.start.index, first) + 16 - x
        yield f'<rect x="{x}" y="{y}" width="{width}" height="32" rx="5" fill="#EEF1F4" stroke="{FAINT}"/>'
        yield _text(x + width / 2, y + 20, "snap", font_size="9.5", text_anchor="middle")
    for entry in log.slice(first, log.last.index + 1):
        x, term = _x(entry.index, first), entry.id.term
        line = '"2.3"' if entry.index <= server.state.committed else '"1.3" stroke-dasharray="3 2.4"'
        yield f'<rect x="{x - 16:.1f}" y="{y}" width="32" height="32" rx="5" fill="{term_colour(term)}" stroke="{INK}" '
        yield f"stroke-width={line}/>"
        ink = numeral_colour(term)
        yield _text(x, y + 16, term, font_size="12.5", font_weight="bold", text_anchor="middle", fill=ink)
        yield _text(x, y + 27, written(entry)[1][0][:7], font_size="8.5", text_anchor="middle", fill=ink)


# Words and tape


def _told(sentence: str) -> Iterator[str]:
    yield f'<rect x="12" y="412" width="{WIDTH - 24}" height="30" rx="6" fill="#FDFBE6" stroke="#D9DEE4"/>'
    yield _text(26, 432, sentence if len(sentence) <= 132 else sentence[:131] + "…", font_size="13")


def _tape(tape: Tape, moment: Moment, seen: int) -> Iterator[str]:
    end = max(moment.time, 1e-6)
    bands = [band for band in tape.bands if band[0] <= seen]
    for number, (_, time, term, leader) in enumerate(bands):
        x = 12 + (WIDTH - 24) * time / end
        stop = bands[number + 1][1] if number + 1 < len(bands) else end
        width = (WIDTH - 24) * (stop - time) / end
        yield f'<rect x="{x:.1f}" y="454" width="{width:.1f}" height="24" fill="{term_colour(term)}"/>'
        words = f"term {term}: {node_name(leader)} leads" if leader else "nobody leads"
        if width > 7 * len(words):
            yield _text(x + 8, 470, words, font_size="11.5", fill=numeral_colour(term))
    yield _text(12, 494, f"t = {moment.time:.3f} s, event {seen}", font_size="11", fill="#52606D")


def alt(moment: Moment, sentence: str) -> str:
    """The picture in words."""
    found = "; ".join(f"{one['title']}, {one['line']}" for one in decisions(moment)) or "nobody leads"
    servers = ", ".join(_in_words(node, moment.servers[node]) for node in sorted(moment.servers))
    return f"Raft at {moment.time:.3f} s: {found}. {servers}. {sentence}"


def _in_words(node: NodeId, server: Server) -> str:
    state = server.state
    if not server.up:
        return f"{node_name(node)} is down"
    role = "leads" if isinstance(state.role, Leader) else f"is a {type(state.role).__name__.lower()}"
    last = state.log.last.index
    entries = f"{last} {'entry' if last == 1 else 'entries'}, {state.committed} committed"
    return f"{node_name(node)} {role} in term {state.term} with {entries}"
