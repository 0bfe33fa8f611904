"""Pictures of speed: latency of commits, and snapshot transfers."""

import math
from collections.abc import Sequence
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.term_colours import term_colour
from pyraft_lab.trace import given
from pyraft_lab.trace.columns import Table
from pyraft_lab.viz import bands, palette, theme
from pyraft_lab.viz.figure import draws
from pyraft_lab.viz.sketch import Sketch
from pyraft_lab.viz.source import EntryRow, Run, Source, run_of, spans, window

MAX_POINTS = 2000
"""Above this number of commands a point represents several."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross")
"""The mark of each term, in addition to its colour."""


class Took(Struct, frozen=True, gc=False):
    """A command and how long it took to commit; ``count`` says how many it stands for."""

    term: int
    index: int
    node: int
    appended: float
    milliseconds: float
    count: int


@draws
def commit_latency(source: Source, *, title: str | None = None) -> Sketch:
    """The time from append to commit of each command, in milliseconds; and the median.

    Grey marks times without a leader. With very many commands a point is the slowest of several and shows their number.
    """
    run = run_of(source)
    every = _took(run.entries)
    points = _thinned(every)
    begin, end = window(run, None, None)
    terms = sorted({one.term for one in points})
    fig = theme.figure(
        title or "Time from append to commit of each command",
        _spread(every, len(points)),
        height=230,
        key="colour and mark: term · dotted line: median · grey: no leader",
        showlegend=len(terms) in range(2, 9),
    )
    _draw_leaderless(fig, run, begin, end)
    for term in terms:
        _draw_term(fig, term, [one for one in points if one.term == term])
    if every:
        middle = median(one.milliseconds for one in every)
        fig.add_horizontal(middle, line={"dash": "dot", "color": palette.TEXT, "width": 1.2})
    theme.seconds(fig, begin, end)
    top = 1.12 * max((one.milliseconds for one in points), default=1 / 1.12)
    fig.update_y_axis(title={"text": "milliseconds"}, range=[0, top], gridcolor=palette.HAIRLINE, zeroline=False)
    return fig


def _took(entries: Sequence[EntryRow]) -> list[Took]:
    """Commands that were committed, in their leader's log."""
    return [
        Took(row.term, row.index, row.node, row.appended, (row.committed - row.appended) * 1000, 1)
        for row in entries
        if row.kind == "normal" and row.node == row.leader and row.appended is not None and row.committed is not None
    ]


def _thinned(every: Sequence[Took]) -> list[Took]:
    """All rows; if they are very many, the slowest in each of many intervals and terms."""
    if len(every) <= MAX_POINTS:
        return list(every)
    times = [one.appended for one in every]
    width = (max(times) - min(times)) / (MAX_POINTS / 2) or 1.0
    groups: dict[tuple[float, int], list[Took]] = {}
    for one in every:
        groups.setdefault((one.appended // width, one.term), []).append(one)
    return [
        replace(max(group, key=lambda one: one.milliseconds), count=len(group)) for _, group in sorted(groups.items())
    ]


def _spread(every: Sequence[Took], drawn: int) -> str:
    if not every:
        return "no command was committed"
    ms = sorted(one.milliseconds for one in every)
    few = "" if len(ms) == drawn else f"; a point is the slowest of several, {drawn:,} in all"
    high = f", 95 of 100 within {ms[math.ceil(0.95 * len(ms)) - 1]:.1f} ms" if len(ms) >= 20 else ""
    return f"{len(ms):,} commands: median {median(ms):.1f} ms{high}, slowest {ms[-1]:.1f} ms{few}"


def _draw_leaderless(fig: Sketch, run: Run, begin: float, end: float) -> None:
    """Grey for times without a leader, from the end of one leadership to the start of the next."""
    bands = spans(run, end)
    at = begin
    for one in sorted((one for one in bands if one.role == "leader"), key=lambda one: one.start):
        if one.start > at:
            _shade(fig, at, one.start)
        at = max(at, one.stop)
    if at < end and bands:
        _shade(fig, at, end)


def _shade(fig: Sketch, start: float, stop: float) -> None:
    fig.add_shape(
        type="rect",
        x0=start,
        x1=stop,
        y0=0,
        y1=1,
        yref="paper",
        fillcolor=palette.VEIL,
        line={"width": 0},
        layer="below",
    )


def _draw_term(fig: Sketch, term: int, points: Sequence[Took]) -> None:
    fig.add_scatter(
        x=[one.appended for one in points],
        y=[round(one.milliseconds, 3) for one in points],
        mode="markers",
        name=f"term {term}",
        marker={
            "color": term_colour(term),
            "symbol": SYMBOLS[(term - 1) % len(SYMBOLS)],
            "size": 8,
            "line": {"color": palette.TEXT, "width": 0.8},
        },
        hovertext=[_told(one) for one in points],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _told(row: Took) -> str:
    several = f"<br>the slowest of {row.count} about this time" if row.count > 1 else ""
    return (
        f"entry {row.index} of n{row.node} in term {row.term}<br>"
        f"appended at {row.appended:.3f} s, committed after {row.milliseconds:.1f} ms{several}"
    )


# Snapshots


class SnapshotPart(Struct, frozen=True, gc=False):
    """One part of a snapshot on its way."""

    src: int
    dst: int
    term: int
    sent: float
    received: float | None
    due: float | None
    fate: str
    prev_index: int
    offset: int
    length: int
    size: int

    @property
    def gone(self) -> bool:
        """Whether it was lost."""
        return self.fate not in {"delivered", "flying", "unknown"}

    @property
    def end(self) -> float:
        """When it arrived, or would have."""
        return next(time for time in (self.received, self.due, self.sent + 0.004) if time is not None)


@draws
def snapshots(
    source: Source, *, start: float | None = None, stop: float | None = None, title: str | None = None
) -> Sketch:
    """Snapshot transfers, a lane for each receiver: every chunk from sending to arrival, lost ones with ×.

    The height of a chunk in its lane is the position of its bytes; the lane is full when all bytes have arrived.
    """
    given.window(start, stop)
    chunks = _chunks(run_of(source).messages, start or 0.0, math.inf if stop is None else stop)
    title = title or "Snapshot transfers, chunk by chunk"
    if not chunks:
        return theme.empty_figure(title, "no snapshot was sent; crash a follower until the entries it needs are purged")
    lanes = sorted({one.dst for one in chunks})
    fig = theme.figure(
        title,
        _sent(chunks),
        height=96 * len(lanes),
        key="a block: a chunk, from sending to arrival · its height: which bytes · colour: term · ×: lost",
        words=". ".join(_arrivals(node, [one for one in chunks if one.dst == node]) for node in lanes),
        barmode="overlay",
    )
    begin, end = min(one.sent for one in chunks), max(one.end for one in chunks)
    _draw_chunks(fig, chunks, lanes, end - begin)
    theme.lanes(fig, lanes)
    theme.seconds(fig, begin, end)
    return fig


def _chunks(messages: Table, start: float, stop: float) -> list[SnapshotPart]:
    """The snapshot chunks that were sent between two times."""
    found = messages.rows_at(SnapshotPart, messages.places("kind", "SnapshotRequest"))
    return [one for one in found if start <= one.sent <= stop]


def _sent(chunks: Sequence[SnapshotPart]) -> str:
    whole = list({(one.dst, one.prev_index): one for one in reversed(chunks)}.values())[::-1]
    many = "a snapshot" if len(whole) == 1 else f"{len(whole)} snapshots"
    lost = sum(one.gone for one in chunks)
    sizes = ", ".join(f"to n{one.dst} up to entry {one.prev_index} ({one.size} bytes)" for one in whole[:3])
    more = " and others" if len(whole) > 3 else ""
    return f"{many} in {len(chunks)} chunks, {lost} of them lost: {sizes}{more}"


def _arrivals(node: int, chunks: Sequence[SnapshotPart]) -> str:
    there = [one for one in chunks if not one.gone]
    last = f", the last at {max(one.end for one in there):.3f} s" if there else ""
    return f"n{node} received {len(there)} of {len(chunks)} chunks{last}"


def _draw_chunks(fig: Sketch, rows: Sequence[SnapshotPart], lanes: list[int], room: float) -> None:
    """A block for each chunk: its width is the time on the way, its height its share of the snapshot."""
    least = 0.006 * room
    share = [row.length / max(row.size, 1) for row in rows]
    middle = [
        lanes.index(row.dst) + 0.42 - 0.84 * (row.offset / max(row.size, 1) + part / 2)
        for row, part in zip(rows, share, strict=True)
    ]
    colours = [palette.PAPER if row.gone else term_colour(row.term) for row in rows]
    fig.add_bar(
        orientation="h",
        base=[row.sent for row in rows],
        x=[max(row.end - row.sent, least) for row in rows],
        y=middle,
        width=[0.84 * part for part in share],
        text=["" if row.gone else _bytes(row, room) for row in rows],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        textfont={
            "size": 10,
            "color": [palette.NUMERAL if row.gone else theme.numeral_colour(row.term) for row in rows],
        },
        marker={"color": colours, "line": {"color": palette.TEXT, "width": 1}},
        hovertext=[_chunk(row) for row in rows],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    lost = [(row, y) for row, y in zip(rows, middle, strict=True) if row.gone]
    fig.add_scatter(
        x=[max(row.end, row.sent + least) for row, _ in lost],
        y=[y for _, y in lost],
        mode="markers",
        marker={
            "symbol": "x-thin-open",
            "size": 9,
            "color": palette.TEXT,
            "line": {"width": 1.6, "color": palette.TEXT},
        },
        hovertext=[_chunk(row) for row, _ in lost],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    for lane in range(len(lanes) + 1):
        fig.add_horizontal(lane - 0.5, line={"color": palette.HAIRLINE, "width": 1})


def _bytes(row: SnapshotPart, room: float) -> str:
    words = f"{row.length} B"
    fits = (row.end - row.sent) / room * bands.WIDTH > len(words) * bands.CHARACTER_WIDTH and row.length / max(
        row.size, 1
    ) > 0.12
    return words if fits else ""


def _chunk(row: SnapshotPart) -> str:
    fate = f"received at {row.received:.3f} s" if row.received is not None else row.fate
    return (
        f"n{row.src} to n{row.dst}: bytes {row.offset} to {row.offset + row.length} of {row.size}<br>"
        f"of the snapshot up to entry {row.prev_index}<br>sent at {row.sent:.3f} s, {fate}"
    )
