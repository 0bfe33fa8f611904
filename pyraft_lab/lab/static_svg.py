"""One moment as a static picture for pages without scripts, with the same marks as the animated one."""

from collections.abc import Iterator
from itertools import chain
from textwrap import wrap

from pyraft_lab.engine.state import Leader
from pyraft_lab.engine.types import NodeId
from pyraft_lab.lab.cluster_view import ClusterView, ServerView
from pyraft_lab.lab.decision import decisions
from pyraft_lab.lab.explain import written
from pyraft_lab.lab.ring import SCENE, ring, tallies, text
from pyraft_lab.lab.tape import Tape
from pyraft_lab.term_colours import NO_TERM, term_colour
from pyraft_lab.viz.palette import CARD, FAINT, MUTED, NUMERAL, PAPER, STATIC_STYLE, TEXT
from pyraft_lab.viz.sketch import image
from pyraft_lab.viz.theme import FONT, node_name, numeral_colour

__all__ = ["alt", "image", "ring_still", "still"]

WIDTH, HEIGHT = 960, 500
RING_WIDTH, RING_HEIGHT = 860, 392
COLUMNS = 12
CELL = 36


def still(view: ClusterView, tape: Tape, seen: int, sentence: str) -> str:
    """An SVG picture of a moment, with the tape up to event ``seen`` and the sentence of the last event."""
    parts = [
        *_headline(view),
        *ring(view),
        *tallies(view),
        *_logs(view),
        *_told(sentence),
        *_tape(tape, view, seen),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="{FONT}" font-size="12" fill="{TEXT}">'
        f'<style>{STATIC_STYLE}</style>{CARD}<g fill="{TEXT}">' + "".join(parts) + "</g></svg>"
    )


def ring_still(view: ClusterView, sentence: str, question: str = "") -> str:
    """An SVG picture of the plain view: the ring, and beside it what is decided, what was last told, and a question."""
    words = [*_plain_headline(view), *_paragraph(sentence, 220, MUTED), *_paragraph(question, 310, TEXT)]
    parts = ring(view), (f'<g transform="translate({SCENE} -280)">', *tallies(view, plain=True), "</g>"), words
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {RING_WIDTH} {RING_HEIGHT}" width="{RING_WIDTH}" '
        f'height="{RING_HEIGHT}" font-family="{FONT}" font-size="12" fill="{TEXT}">'
        f'<style>{STATIC_STYLE}</style>{CARD}<g fill="{TEXT}">' + "".join(chain.from_iterable(parts)) + "</g></svg>"
    )


def _plain_headline(view: ClusterView) -> Iterator[str]:
    found = decisions(view)
    x = SCENE + 16
    yield text(x, 60, " · ".join(one.title for one in found) or "Nobody leads", font_size="17", font_weight="bold")
    if found:
        yield text(x, 84, found[0].plain, font_size="13", fill=MUTED)


def _paragraph(words: str, y: float, fill: str) -> Iterator[str]:
    """Lines of text beside the ring, from ``y`` on."""
    bold = {"font_weight": "bold"} if fill == TEXT else {}
    for number, line in enumerate(wrap(words, 52)):
        yield text(SCENE + 16, y + 19 * number, line, font_size="14", fill=fill, **bold)


def _headline(view: ClusterView) -> Iterator[str]:
    found = decisions(view)
    yield text(16, 26, " · ".join(one.title for one in found) or "Nobody leads", font_size="15", font_weight="bold")
    if found:
        yield text(16, 44, found[0].line, fill=MUTED)


# The logs


def _logs(view: ClusterView) -> Iterator[str]:
    servers = [(node, view.servers[node]) for node in sorted(view.servers)]
    last = max((server.state.log.last.index for _, server in servers), default=0)
    first = max(1, last - COLUMNS + 1)
    step = min(60, 320 // max(len(servers), 1))
    yield text(SCENE + 30, 26, "Logs", font_size="15", font_weight="bold")
    for index in range(first, first + COLUMNS):
        yield text(_x(index, first), 52, index, font_size="10.5", fill=MUTED, text_anchor="middle")
    for row, (node, server) in enumerate(servers):
        y = 62 + row * step
        yield text(SCENE + 30, y + 21, node_name(node), font_size="13", font_weight="bold")
        yield from _cells(server, first, y)
        yield from _gap(server, first, y)


def _x(index: int, first: int) -> float:
    return SCENE + 84 + (index - first) * CELL


def _gap(server: ServerView, first: int, y: float) -> Iterator[str]:
    """The reason for an empty row: its log ends further left; or a bar for a snapshot that arrives."""
    state = server.state
    last = state.log.last.index
    if last >= first:
        return
    x = _x(first, first) - 16
    words = f"its log ends with entry {last}" if last else "its log is empty"
    if state.incoming is not None:
        meta, here = state.incoming.meta, state.incoming.offset
        share = here / max(meta.size, 1)
        for fill, part in ((PAPER, 1.0), (NO_TERM, share)):
            width = (CELL * COLUMNS - 4) * part
            yield f'<rect x="{x}" y="{y}" width="{width:.1f}" height="32" rx="5" fill="{fill}" stroke="{TEXT}"/>'
        words = f"snapshot up to entry {meta.last.index}: {here} of {meta.size} bytes are here"
        x += 8
    yield text(x, y + 21, words, font_size="11.5", fill=MUTED if state.incoming is None else NUMERAL)


def _cells(server: ServerView, first: int, y: float) -> Iterator[str]:
    log = server.state.log
    if log.start.index >= first:
        x = _x(first, first) - 16
        width = _x(log.start.index, first) + 16 - x
        yield f'<rect x="{x}" y="{y}" width="{width}" height="32" rx="5" fill="{NO_TERM}" stroke="{FAINT}"/>'
        yield text(x + width / 2, y + 20, "snap", font_size="9.5", text_anchor="middle", fill=NUMERAL)
    for entry in log.slice(first, log.last.index + 1):
        x, term = _x(entry.index, first), entry.id.term
        colour, is_committed = numeral_colour(term), entry.index <= server.state.committed
        line = f' stroke="{TEXT}" stroke-width="2.3"' if is_committed else ""
        yield f'<rect x="{x - 16:.1f}" y="{y}" width="32" height="32" rx="5" fill="{term_colour(term)}"{line}/>'
        if not is_committed:  # on its fill, in the colour of its text: told apart on light and dark pages
            yield f'<rect x="{x - 13.8:.1f}" y="{y + 2.2}" width="27.6" height="27.6" rx="3.5" fill="none" '
            yield f'stroke="{colour}" stroke-width="1.6" stroke-dasharray="3 2.6"/>'
        yield text(x, y + 16, term, font_size="12.5", font_weight="bold", text_anchor="middle", fill=colour)
        yield text(x, y + 27, written(entry)[1].label[:7], font_size="8.5", text_anchor="middle", fill=colour)


# Text and tape


def _told(sentence: str) -> Iterator[str]:
    yield f'<rect x="12" y="412" width="{WIDTH - 24}" height="30" rx="6" fill="#FDFBE6" stroke="#D9DEE4"/>'
    yield text(26, 432, sentence if len(sentence) <= 132 else sentence[:131] + "…", font_size="13", fill=NUMERAL)


def _tape(tape: Tape, view: ClusterView, seen: int) -> Iterator[str]:
    end = max(view.time, 1e-6)
    bands = [band for band in tape.bands if band.event <= seen]
    for number, band in enumerate(bands):
        term, leader = band.term, band.leader
        x = 12 + (WIDTH - 24) * band.time / end
        stop = bands[number + 1].time if number + 1 < len(bands) else end
        width = (WIDTH - 24) * (stop - band.time) / end
        yield f'<rect x="{x:.1f}" y="454" width="{width:.1f}" height="24" fill="{term_colour(term)}"/>'
        words = f"term {term}: {node_name(leader)} leads" if leader else "nobody leads"
        if width > 7 * len(words):
            yield text(x + 8, 470, words, font_size="11.5", fill=numeral_colour(term))
    yield text(12, 494, f"t = {view.time:.3f} s, event {seen}", font_size="11", fill=MUTED)


def alt(view: ClusterView, sentence: str) -> str:
    """The picture as text."""
    found = "; ".join(f"{one.title}, {one.line}" for one in decisions(view)) or "nobody leads"
    servers = ", ".join(_in_words(node, view.servers[node]) for node in sorted(view.servers))
    return f"Raft at {view.time:.3f} s: {found}. {servers}. {sentence}"


def _in_words(node: NodeId, server: ServerView) -> str:
    state = server.state
    if not server.up:
        return f"{node_name(node)} is {'no longer heard from' if server.silent else 'down'}"
    role = "leads" if isinstance(state.role, Leader) else f"is a {state.role_name}"
    last = state.log.last.index
    entries = f"{last} {'entry' if last == 1 else 'entries'}, {state.committed} committed"
    return f"{node_name(node)} {role} in term {state.term} with {entries}"
