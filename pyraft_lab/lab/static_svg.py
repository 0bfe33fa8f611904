"""One moment as a static picture for pages without scripts, with the same marks as the animated one."""

from collections.abc import Iterator

from pyraft_lab.engine.state import Leader
from pyraft_lab.engine.types import NodeId
from pyraft_lab.lab.cluster_view import ClusterView, ServerView
from pyraft_lab.lab.decision import decisions
from pyraft_lab.lab.explain import written
from pyraft_lab.lab.ring import SCENE, ring, tallies, text
from pyraft_lab.lab.tape import Tape
from pyraft_lab.term_colours import NO_TERM, term_colour
from pyraft_lab.viz.image import image
from pyraft_lab.viz.palette import CARD, FAINT, MUTED, NUMERAL, PAPER, STATIC_STYLE, TEXT
from pyraft_lab.viz.theme import FONT, node_name, numeral_colour

__all__ = ["alt", "image", "still"]

WIDTH, HEIGHT = 960, 500
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
        line = '"2.3"' if entry.index <= server.state.committed else '"1.3" stroke-dasharray="3 2.4"'
        yield f'<rect x="{x - 16:.1f}" y="{y}" width="32" height="32" rx="5" fill="{term_colour(term)}" '
        yield f'stroke="{TEXT}" stroke-width={line}/>'
        colour = numeral_colour(term)
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
