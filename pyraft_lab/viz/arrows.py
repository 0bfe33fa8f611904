"""Messages as arrows between lanes, from sending to arrival; lost ones end in ×."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.trace.columns import Table
from pyraft_lab.viz import palette, theme
from pyraft_lab.viz.sketch import Sketch

MAX_ARROWS = 400
"""Above this number, messages of one kind that leave together on one link become one arrow with their number."""
BUNDLES = (48, 24, 12, 6)
"""The numbers of time intervals to try for this; the first one that gives few enough arrows is used."""
ENOUGH = 1_000
"""The maximum number of such arrows in a chart."""
HEARTBEATS = ("HeartbeatRequest", "HeartbeatResponse")
ARRIVED = ("delivered", "flying", "unknown")
NAMES = {
    "A": "append",
    "H": "heartbeat",
    "O": "outdated",
    "P": "pre-vote",
    "S": "snapshot",
    "T": "timeout now",
    "V": "vote",
}
EDGE = 0.16
"""The distance of an arrow's start from the middle of its lane."""

Point = tuple[float, float]


class MessageRow(Struct, frozen=True, gc=False):
    """What the chart needs of a row of ``trace.messages``; ``count`` is the number of messages in a bundle."""

    src: int
    dst: int
    kind: str
    fate: str
    term: int
    sent: float
    received: float | None
    due: float | None
    reply_to: int | None
    entries: int | None
    prev_index: int | None
    granted: bool | None
    success: bool | None
    count: int = 1

    @property
    def has_arrived(self) -> bool:
        """Whether it arrived, or still may."""
        return self.fate in ARRIVED

    @property
    def is_heartbeat(self) -> bool:
        """Whether it is a heartbeat, or the answer to one."""
        return self.kind in HEARTBEATS


def visible(messages: Table, lanes: Sequence[int], begin: float, end: float, *, heartbeats: bool) -> list[MessageRow]:
    """The messages of a window; too many are bundled, and ``count`` is the number of messages in a bundle."""
    names = ("src", "dst", "sent", "received")
    shown = [
        place
        for place, (src, dst, sent, received) in enumerate(zip(*map(messages.buffers.get, names), strict=True))
        if src in lanes and dst in lanes and sent <= end and not (sent if received != received else received) < begin  # noqa: PLR0124
    ]
    seen = [one for one in messages.rows_at(MessageRow, shown) if heartbeats or not one.is_heartbeat]
    if len(seen) <= MAX_ARROWS:
        return seen
    tries = (bundled(seen, (end - begin) / parts) for parts in BUNDLES)
    return next((few for few in tries if len(few) <= ENOUGH), bundled(seen, (end - begin) / BUNDLES[-1]))


def bundled(messages: Sequence[MessageRow], width: float) -> list[MessageRow]:
    """One arrow for all messages of a kind and fate that leave on one link within ``width`` seconds."""
    groups: dict[tuple[int, int, str, str, float], MessageRow] = {}
    for one in messages:
        group = (one.src, one.dst, one.kind, one.fate, one.sent // width)
        first = groups.get(group)
        groups[group] = one if first is None else replace(first, count=first.count + 1)
    return [groups[group] for group in sorted(groups)]


def finding(seen: Sequence[MessageRow]) -> str:
    """The number of messages, and the number that did not arrive."""
    every, lost = _total(seen), _total([one for one in seen if not one.has_arrived])
    fates = f", {lost:,} of them lost (×)" if lost else ""
    return f"{every:,} messages{fates}"


def _total(seen: Sequence[MessageRow]) -> int:
    return sum(one.count for one in seen)


def key(seen: Sequence[MessageRow]) -> str:
    """The meaning of the letters, and whether each message has its own arrow."""
    letters = sorted({theme.GLYPHS.get(one.kind, "?") for one in seen} - {"H"})
    every = _total(seen)
    together = (
        f"{every:,} messages as {len(seen):,} arrows: those that leave together are one (narrower: start=, stop=)"
    )
    parts = [*(f"{letter} {NAMES.get(letter, '')}" for letter in letters), "+ yes, − no"]
    return " · ".join([*parts, *([together] if len(seen) < every else [])])


def counts_in_words(seen: Sequence[MessageRow]) -> str:
    """The number of messages of each kind."""
    counts = Counter[str]()
    for one in seen:
        counts[one.kind] += one.count
    return ", ".join(f"{counts[kind]} {kind}" for kind in sorted(counts))


def draw(fig: Sketch, seen: Sequence[MessageRow], lanes: Sequence[int], begin: float, end: float) -> None:
    """All arrows, one trace for each style; and letters where they fit."""
    place = {node: lane for lane, node in enumerate(lanes)}
    for name, line in LINES.items():
        rows = [one for one in seen if _look(one) == name]
        if rows:
            _draw_look(fig, name, rows, place, end=end, line=line)
    _draw_letters(fig, [one for one in seen if not one.is_heartbeat], place, begin, end)


LINES: Mapping[str, dict[str, Any]] = {
    "heartbeat": {"color": palette.HEARTBEAT, "width": 0.8},
    "request": {"color": palette.TEXT, "width": 1.3},
    "answer": {"color": palette.TEXT, "width": 1.0, "dash": "dot"},
    "lost": {"color": palette.MUTED, "width": 1.0},
}
"""The line of each style of arrow."""


def _look(one: MessageRow) -> str:
    if not one.has_arrived:
        return "lost"
    if one.is_heartbeat:
        return "heartbeat"
    return "request" if one.reply_to is None else "answer"


HEADS = {"lost": "x-thin-open", "answer": "arrow-open"}


def _draw_look(
    fig: Sketch, name: str, rows: Sequence[MessageRow], place: dict[int, int], *, end: float, line: dict[str, Any]
) -> None:
    """All arrows of one style as one trace: tail, head, gap, and so on."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for row in rows:
        (x0, y0), (x1, y1) = _ends(row, place, end)
        xs += [round(x0, 6), round(x1, 6), None]
        ys += [round(y0, 3), round(y1, 3), None]
    fig.add_scatter(
        x=xs,
        y=ys,
        mode="lines+markers",
        name=name,
        line=line,
        marker={
            "symbol": HEADS.get(name, "arrow"),
            "size": [0, 6 if name == "heartbeat" else 8, 0] * len(rows),
            "color": line["color"],
            "line": {"color": line["color"], "width": 1.6 if name == "lost" else 1},
            "angleref": "up" if name == "lost" else "previous",
        },
        hovertext=[text for row in rows for text in ("", _told(row), "")],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _ends(row: MessageRow, place: dict[int, int], end: float) -> tuple[Point, Point]:
    """Tail and head of an arrow; a lost message ends near its sender, or before a receiver that was down."""
    y0, y1 = place[row.src], place[row.dst]
    down = 1 if y1 > y0 else -1
    tail = (row.sent, y0 + EDGE * down)
    arrives = next(time for time in (row.received, row.due, row.sent + 0.008) if time is not None)
    head = (min(arrives, end) if row.fate in {"flying", "unknown"} else arrives, y1 - EDGE * down)
    if row.has_arrived:
        return tail, head
    if row.fate == "dead":
        return tail, (head[0], y1 - 0.3 * down)
    part = (0.5 - EDGE) / max(abs(y1 - y0) - 2 * EDGE, 0.1)
    return tail, (tail[0] + (head[0] - tail[0]) * part, y0 + 0.5 * down)


def _told(row: MessageRow) -> str:
    times = f"{row.count} × " if row.count > 1 else ""
    what = f"{times}{row.kind} in term {row.term}, n{row.src} to n{row.dst}"
    extra = f"<br>{row.entries} entries after index {row.prev_index}" if row.entries else ""
    verdict = {"+": "<br>yes", "−": "<br>no"}.get(_sign(row), "")
    fate = f"received {row.received:.4f} s" if row.received is not None else row.fate
    return f"{what}{extra}{verdict}<br>sent {row.sent:.4f} s, {fate}"


def _sign(row: MessageRow) -> str:
    verdict = row.success if row.granted is None else row.granted
    return "" if verdict is None else "+" if verdict else "−"


def _letter(row: MessageRow) -> str:
    count = f"{row.entries}" if row.kind == "AppendRequest" and row.entries else ""
    return theme.GLYPHS.get(row.kind, "?") + count + _sign(row)


# Letters


def _draw_letters(fig: Sketch, rows: Sequence[MessageRow], place: dict[int, int], begin: float, end: float) -> None:
    """The letter of each message on its arrow, unless it would cover another one."""
    taken: set[tuple[int, int]] = set()
    found = [(at, _letter(row)) for row in rows if (at := _free(row, place, begin, end, taken)) is not None]
    fig.add_scatter(
        x=[x for (x, _), _ in found],
        y=[y for (_, y), _ in found],
        mode="text",
        name="letters",
        text=[f"<b>{letter}</b>" for _, letter in found],
        textfont={
            "size": 11,
            "color": palette.TEXT,
            "shadow": palette.HALO,
        },
        hoverinfo="skip",
        showlegend=False,
        zorder=2,
    )


def _free(
    row: MessageRow, place: dict[int, int], begin: float, end: float, taken: set[tuple[int, int]]
) -> Point | None:
    """Reserve a free place for a letter on the arrow, a little away from the lanes."""
    (x0, y0), (x1, y1) = _ends(row, place, end)
    for part in (0.5, 0.36, 0.64, 0.26, 0.76):
        x, y = x0 + (x1 - x0) * part, y0 + (y1 - y0) * part
        column, line = int((x - begin) / ((end - begin) / 60)), int(y * 10)
        near = {(column + right, line + below) for right in (-1, 0, 1) for below in (-1, 0, 1)}
        if begin <= x <= end and abs(y - round(y)) > 0.22 and not near & taken:
            taken.add((column, line))
            return x, y
    return None
