"""Pictures in which time runs to the right: the roles of the servers, and the messages between them."""

from collections.abc import Iterator, Sequence

from pyraft_lab.trace.columns import Table
from pyraft_lab.viz import arrows, bands, palette, theme
from pyraft_lab.viz.figure import draws
from pyraft_lab.viz.sketch import Sketch
from pyraft_lab.viz.source import Run, Source, Span, nodes_of, run_of, window

MARKS = {"crash": ("x", "crashes"), "restart": ("triangle-up", "restarts")}
MARKS_KEY = {"crash": "✕ crashes", "restart": "▲ restarts"}
Place = tuple[float, int]
"""A time and a node."""


@draws
def roles(
    source: Source,
    *,
    nodes: list[int] | None = None,
    start: float | None = None,
    stop: float | None = None,
    title: str | None = None,
) -> Sketch:
    """The role of each server over time: a lane for each; hue and numeral are its term, border and hatching its role.

    ``start`` and ``stop`` are seconds; the whole run by default. A lane above shows which links were cut.
    """
    run = run_of(source)
    lanes = nodes_of(run, nodes)
    begin, end = window(run, start, stop)
    life = bands.role_bands(run, lanes, begin, end)
    fig = theme.figure(
        title or "The role of each server over time",
        bands.finding(life),
        height=44 * max(len(lanes), 1),
        key=bands.key(life),
        words=bands.bands_in_words(life, lanes),
        barmode="overlay",
    )
    bands.draw(fig, life, lanes, width=0.66, room=end - begin)
    _axes(fig, lanes, begin, end, above=bands.draw_cuts(fig, run, begin, end))
    return fig


def _axes(fig: Sketch, lanes: list[int], begin: float, end: float, *, above: bool) -> None:
    theme.lanes(fig, lanes, above=int(above))
    theme.seconds(fig, begin, end)
    if above:
        fig.update_layout(height=fig.height + 26)


@draws
def space_time(
    source: Source,
    *,
    nodes: list[int] | None = None,
    start: float | None = None,
    stop: float | None = None,
    heartbeats: bool = True,
    title: str | None = None,
) -> Sketch:
    """Lamport's chart: a lane for each server, time to the right, an arrow for each message; lost ones end in ×.

    The colour and numeral of a lane are the term. A letter names the message (V vote, A append, H heartbeat,
    S snapshot, P pre-vote, T timeout now); an answer is dotted and has a hollow head, + means yes and − no. If
    there are too many arrows, those that leave together become one, and the figure says so; no message is left out.
    """
    run = run_of(source)
    lanes = nodes_of(run, nodes)
    begin, end = window(run, _first_news(run.messages) if start is None else start, stop)
    life = bands.role_bands(run, lanes, begin, end)
    seen = arrows.visible(run.messages, lanes, begin, end, heartbeats=heartbeats)
    fig = theme.figure(
        title or "Every message, from sender to receiver",
        f"{bands.finding(life)}; {arrows.finding(seen)}",
        height=78 * max(len(lanes), 1),
        key=" · ".join([arrows.key(seen), bands.key(life), *_marks_key(run, life)]),
        words=f"{bands.bands_in_words(life, lanes, most=3)}. {arrows.counts_in_words(seen)}",
        barmode="overlay",
        showlegend=True,
    )
    bands.draw(fig, life, lanes, width=0.27, room=end - begin, indent="\u2003\u2002")
    arrows.draw(fig, seen, lanes, begin, end)
    _draw_marks(fig, run, lanes, begin, end)
    _axes(fig, lanes, begin, end, above=bands.draw_cuts(fig, run, begin, end))
    return fig


def _marks_key(run: Run, life: Sequence[Span]) -> list[str]:
    """The meaning of the marks that are on the lanes."""
    leads = ["◆ becomes leader"] if any(one.role == "leader" for one in life) else []
    return [*leads, *(says for kind, says in MARKS_KEY.items() if any(one.time > 0 for one in run.happened(kind)))]


def _first_news(messages: Table) -> float | None:
    """The start of the chart: a little before the first message, since nothing happens until the first timer fires."""
    times = messages.buffers["sent"]
    if not times:
        return None
    first, last = float(min(times)), float(max(times))
    return max(0.0, first - max(0.08 * (last - first), 0.003))


def _draw_marks(fig: Sketch, run: Run, lanes: list[int], begin: float, end: float) -> None:
    """Crashes and restarts on the lane; a diamond where a node becomes leader."""
    for kind, (symbol, says) in MARKS.items():
        acts = [(row.time, row.node) for row in run.happened(kind) if row.node and (row.time > 0 or kind != "restart")]
        _mark(fig, _within(acts, lanes, begin, end), lanes, symbol, says)
    _mark(fig, _within(list(_leaderships(run.events)), lanes, begin, end), lanes, "diamond", "becomes leader")


def _within(places: list[Place], lanes: list[int], begin: float, end: float) -> list[Place]:
    return [(time, node) for time, node in places if begin <= time <= end and node in lanes]


def _leaderships(events: Table) -> Iterator[Place]:
    """When each node became leader."""
    leader = events.column("role").code("leader")
    leads: dict[int, bool] = {}
    for time, node, role in zip(*(events.buffers[name] for name in ("time", "node", "role")), strict=True):
        if role >= 0:
            if role == leader and not leads.get(node, False):
                yield time, node
            leads[node] = role == leader


def _mark(fig: Sketch, places: list[Place], lanes: list[int], symbol: str, says: str) -> None:
    if places:
        fig.add_scatter(
            x=[time for time, _ in places],
            y=[lanes.index(node) for _, node in places],
            mode="markers",
            name=says,
            marker={
                "symbol": symbol,
                "size": 11,
                "color": palette.NUMERAL,
                "line": {"color": palette.PAPER, "width": 1},
            },
            hovertext=[f"n{node} {says} at {time:.3f} s" for time, node in places],
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,
            zorder=2,
        )
