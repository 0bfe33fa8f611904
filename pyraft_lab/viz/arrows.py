"""Messages as arrows between lanes, from sending to arrival; lost ones end in ×."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from pyraft_lab.viz import palette, theme

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


def visible(
    messages: pd.DataFrame, lanes: Sequence[int], begin: float, end: float, *, heartbeats: bool
) -> pd.DataFrame:
    """The messages of a window; too many are bundled, and ``count`` is the number of messages in a bundle."""
    shown = messages["src"].isin(list(lanes)) & messages["dst"].isin(list(lanes))
    shown &= (messages["sent"] <= end) & (messages["received"].fillna(messages["sent"]) >= begin)
    if not heartbeats:
        shown &= ~messages["kind"].isin(HEARTBEATS)
    seen = messages[shown].assign(count=1)
    if len(seen) <= MAX_ARROWS:
        return seen
    tries = (bundled(seen, (end - begin) / parts) for parts in BUNDLES)
    return next((few for few in tries if len(few) <= ENOUGH), bundled(seen, (end - begin) / BUNDLES[-1]))


def bundled(messages: pd.DataFrame, width: float) -> pd.DataFrame:
    """One arrow for all messages of a kind and fate that leave on one link within ``width`` seconds."""
    timed = messages.assign(when=messages["sent"] // width)
    groups = timed.groupby(["src", "dst", "kind", "fate", "when"], observed=True, sort=True)
    return groups.first().assign(count=groups.size()).reset_index()


def finding(seen: pd.DataFrame) -> str:
    """The number of messages, and the number that did not arrive."""
    every, lost = int(seen["count"].sum()), int(seen.loc[~seen["fate"].isin(ARRIVED), "count"].sum())
    fates = f", {lost:,} of them lost (×)" if lost else ""
    return f"{every:,} messages{fates}"


def key(seen: pd.DataFrame) -> str:
    """The meaning of the letters, and whether each message has its own arrow."""
    letters = sorted({theme.GLYPHS.get(str(kind), "?") for kind in seen["kind"].unique()} - {"H"})
    every = int(seen["count"].sum())
    together = (
        f"{every:,} messages as {len(seen):,} arrows: those that leave together are one (narrower: start=, stop=)"
    )
    parts = [*(f"{letter} {NAMES.get(letter, '')}" for letter in letters), "+ yes, − no"]
    return " · ".join([*parts, *([together] if len(seen) < every else [])])


def counts_in_words(seen: pd.DataFrame) -> str:
    """The number of messages of each kind."""
    counts = seen.groupby("kind", observed=True)["count"].sum()
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def draw(fig: go.Figure, seen: pd.DataFrame, lanes: Sequence[int], begin: float, end: float) -> None:
    """All arrows, one trace for each style; and letters where they fit."""
    place = {node: lane for lane, node in enumerate(lanes)}
    beat, answer = seen["kind"].isin(HEARTBEATS), seen["reply_to"].notna()
    lost = ~seen["fate"].isin(ARRIVED)
    for name, part, line in (
        ("heartbeat", seen[beat & ~lost], {"color": palette.HEARTBEAT, "width": 0.8}),
        ("request", seen[~beat & ~answer & ~lost], {"color": palette.TEXT, "width": 1.3}),
        ("answer", seen[~beat & answer & ~lost], {"color": palette.TEXT, "width": 1.0, "dash": "dot"}),
        ("lost", seen[lost], {"color": palette.MUTED, "width": 1.0}),
    ):
        if len(part):
            _draw_look(fig, name, list(part.itertuples()), place, end=end, line=line)
    _draw_letters(fig, list(seen[~beat].itertuples()), place, begin, end)


HEADS = {"lost": "x-thin-open", "answer": "arrow-open"}


def _draw_look(
    fig: go.Figure, name: str, rows: list[Any], place: dict[int, int], *, end: float, line: dict[str, Any]
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


def _ends(row: Any, place: dict[int, int], end: float) -> tuple[Point, Point]:
    """Tail and head of an arrow; a lost message ends near its sender, or before a receiver that was down."""
    y0, y1 = place[row.src], place[row.dst]
    down = 1 if y1 > y0 else -1
    tail = (float(row.sent), y0 + EDGE * down)
    arrives = row.received if pd.notna(row.received) else row.due if pd.notna(row.due) else row.sent + 0.008
    head = (min(float(arrives), end) if row.fate in ("flying", "unknown") else float(arrives), y1 - EDGE * down)
    if row.fate in ARRIVED:
        return tail, head
    if row.fate == "dead":
        return tail, (head[0], y1 - 0.3 * down)
    part = (0.5 - EDGE) / max(abs(y1 - y0) - 2 * EDGE, 0.1)
    return tail, (tail[0] + (head[0] - tail[0]) * part, y0 + 0.5 * down)


def _told(row: Any) -> str:
    times = f"{row.count} × " if row.count > 1 else ""
    what = f"{times}{row.kind} in term {row.term}, n{row.src} to n{row.dst}"
    carried = pd.notna(row.entries) and row.entries
    extra = f"<br>{int(row.entries)} entries after index {int(row.prev_index)}" if carried else ""
    verdict = {"+": "<br>yes", "−": "<br>no"}.get(_sign(row), "")
    fate = f"received {row.received:.4f} s" if pd.notna(row.received) else str(row.fate)
    return f"{what}{extra}{verdict}<br>sent {row.sent:.4f} s, {fate}"


def _sign(row: Any) -> str:
    verdict = row.granted if pd.notna(row.granted) else row.success
    return "" if pd.isna(verdict) else "+" if verdict else "−"


def _letter(row: Any) -> str:
    count = f"{int(row.entries)}" if row.kind == "AppendRequest" and pd.notna(row.entries) and row.entries else ""
    return theme.GLYPHS.get(str(row.kind), "?") + count + _sign(row)


# Letters


def _draw_letters(fig: go.Figure, rows: list[Any], place: dict[int, int], begin: float, end: float) -> None:
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


def _free(row: Any, place: dict[int, int], begin: float, end: float, taken: set[tuple[int, int]]) -> Point | None:
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
