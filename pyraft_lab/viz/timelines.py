"""Pictures in which time runs to the right: who was what when, and which message went where."""

from typing import Any, cast

import pandas as pd
import plotly.graph_objects as go

from pyraft_lab.viz import theme
from pyraft_lab.viz.source import Drawable, nodes_of, spans, trace_of, window

MOST_ARROWS = 1500
"""Beyond so many, arrows of one kind that leave together become one that tells how many it stands for."""
HEARTBEATS = ("HeartbeatRequest", "HeartbeatResponse")
MARKS = {"crash": ("x", "crashes"), "restart": ("triangle-up", "restarts"), "pause": ("line-ns-open", "is paused")}


def roles(
    source: Drawable,
    *,
    nodes: list[int] | None = None,
    start: float | None = None,
    stop: float | None = None,
    title: str | None = None,
) -> go.Figure:
    """Who was what, when: a lane for each server, hue and numeral its term, border, hatching and word its role.

    ``start`` and ``stop`` are seconds; the whole run unless given.
    """
    trace = trace_of(source)
    lanes = nodes_of(trace, nodes)
    begin, end = window(trace, start, stop)
    fig = theme.figure(title, height=90 + 48 * max(len(lanes), 1), barmode="overlay", showlegend=False)
    bands = _within(spans(trace, end), lanes, begin, end)
    _draw_bands(fig, bands, lanes, width=0.62, named=True)
    theme.lanes(fig, lanes)
    theme.seconds(fig, begin, end)
    return fig


def space_time(
    source: Drawable,
    *,
    nodes: list[int] | None = None,
    start: float | None = None,
    stop: float | None = None,
    heartbeats: bool = True,
    title: str | None = None,
) -> go.Figure:
    """Lamport's chart: a lane for each server, time to the right, an arrow for each message; lost ones end in ×.

    The lane's colour is the term. A letter names the message (V vote, A append, H heartbeat, S snapshot, P pre-vote,
    T timeout now); an answer has a hollow head, a refusal a minus.
    """
    trace = trace_of(source)
    lanes = nodes_of(trace, nodes)
    begin, end = window(trace, _first_news(trace.messages) if start is None else start, stop)
    fig = theme.figure(title, height=110 + 84 * max(len(lanes), 1), barmode="overlay")
    _draw_bands(fig, _within(spans(trace, end), lanes, begin, end), lanes, width=0.26, named=False)
    _draw_messages(fig, _visible(trace.messages, lanes, begin, end, heartbeats=heartbeats), lanes, end)
    _draw_marks(fig, trace.events, lanes, begin, end)
    theme.lanes(fig, lanes)
    theme.seconds(fig, begin, end)
    return fig


def _first_news(messages: pd.DataFrame) -> float | None:
    """Nothing happens while everybody waits for the first timer: the chart begins a little before the first message."""
    if messages.empty:
        return None
    first, last = float(messages["sent"].min()), float(messages["sent"].max())
    return max(0.0, first - max(0.08 * (last - first), 0.003))


# Lanes


def _within(bands: pd.DataFrame, lanes: list[int], begin: float, end: float) -> pd.DataFrame:
    seen = bands[(bands["stop"] > begin) & (bands["start"] < end) & bands["node"].isin(lanes)].copy()
    seen["start"], seen["stop"] = seen["start"].clip(lower=begin), seen["stop"].clip(upper=end)
    return seen


def _draw_bands(fig: go.Figure, bands: pd.DataFrame, lanes: list[int], *, width: float, named: bool) -> None:
    """Each stretch of a node's life as a bar; ``named`` writes role and term into it where there is room."""
    place = {node: lane for lane, node in enumerate(lanes)}
    room = (bands["stop"].max() - bands["start"].min()) / 14 if len(bands) else 0
    for look, part in bands.groupby(["role", "term"], sort=True):
        role, term = cast("tuple[str, int]", look)
        length = part["stop"] - part["start"]
        words = [_label(role, term) if named and each > room else "" for each in length]
        fig.add_bar(
            orientation="h",
            base=part["start"],
            x=length,
            y=[place[node] for node in part["node"]],
            width=width if role != "learner" else width * 0.7,
            text=words,
            textposition="inside",
            insidetextanchor="start",
            textfont={"color": theme.numeral_colour(term)},
            marker=_band_style(role, term),
            customdata=part[["node", "start", "stop"]],
            hovertemplate=f"n%{{customdata[0]}} {_says(role, term)}<br>"
            "from %{customdata[1]:.3f} s to %{customdata[2]:.3f} s<extra></extra>",
            showlegend=False,
        )


def _band_style(role: str, term: int) -> dict[str, Any]:
    fill = theme.NO_TERM if role == "down" else theme.term_colour(term)
    return {
        "color": fill,
        "line": {"color": theme.INK, "width": theme.ROLE_BORDER.get(role, 0.8)},
        "pattern": {
            "shape": theme.ROLE_HATCH.get(role, ""),
            "bgcolor": fill,
            "fgcolor": theme.INK,
            "fgopacity": 0.35,
            "size": 7,
        },
    }


def _label(role: str, term: int) -> str:
    return role if role == "down" or not term else f"{role} {term}"


def _says(role: str, term: int) -> str:
    return "is down" if role == "down" else f"is {role} in term {term}"


# Messages


def _visible(messages: pd.DataFrame, lanes: list[int], begin: float, end: float, *, heartbeats: bool) -> pd.DataFrame:
    """The messages of the window, thinned where they are too many to be told apart."""
    shown = messages["src"].isin(lanes) & messages["dst"].isin(lanes)
    shown &= (messages["sent"] <= end) & (messages["received"].fillna(messages["sent"]) >= begin)
    if not heartbeats:
        shown &= ~messages["kind"].isin(HEARTBEATS)
    seen = messages[shown].assign(count=1)
    return seen if len(seen) <= MOST_ARROWS else _bundled(seen, (end - begin) / 150)


def _bundled(messages: pd.DataFrame, width: float) -> pd.DataFrame:
    """One arrow for all messages of a kind and fate that leave on one link within ``width`` seconds."""
    timed = messages.assign(when=messages["sent"] // width)
    groups = timed.groupby(["src", "dst", "kind", "fate", "when"], observed=True, sort=True)
    return groups.first().assign(count=groups.size()).reset_index()


def _draw_messages(fig: go.Figure, messages: pd.DataFrame, lanes: list[int], end: float) -> None:
    place = {node: lane for lane, node in enumerate(lanes)}
    beat = messages["kind"].isin(HEARTBEATS)
    answer = messages["reply_to"].notna()
    lost = ~messages["fate"].isin(("delivered", "flying"))
    crowded = len(messages) > 160
    for name, part, style in (
        ("heartbeat", messages[beat & ~lost], {"color": theme.FAINT, "width": 0.7}),
        ("request", messages[~beat & ~answer & ~lost], {"color": theme.INK, "width": 1.2}),
        ("answer", messages[~beat & answer & ~lost], {"color": theme.INK, "width": 1.0, "dash": "dot"}),
        ("lost", messages[lost], {"color": theme.INK, "width": 1.0}),
    ):
        if len(part):
            _draw_arrows(fig, name, part, place, end=end, line=style)
    if not crowded:
        _draw_letters(fig, messages[~beat], place, end)


def _draw_arrows(
    fig: go.Figure, name: str, part: pd.DataFrame, place: dict[int, int], *, end: float, line: dict[str, Any]
) -> None:
    """All arrows of one look as one trace: tail, head, gap, and so on."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for row in part.itertuples():
        (x0, y0), (x1, y1) = _ends(row, place, end, halfway=name == "lost")
        xs += [x0, x1, None]
        ys += [y0, y1, None]
    texts = [text for row in part.itertuples() for text in ("", _words(row), "")]
    head = {"lost": "x-thin-open", "answer": "arrow-open", "heartbeat": "arrow"}.get(name, "arrow")
    sizes = [0, 6 if name == "heartbeat" else 9, 0] * len(part)
    fig.add_scatter(
        x=xs,
        y=ys,
        mode="lines+markers",
        name=name,
        line=line,
        marker={
            "symbol": head,
            "size": sizes,
            "color": line["color"],
            "line": {"color": line["color"], "width": 1.6 if name == "lost" else 1},
            "angleref": "previous" if name != "lost" else "up",
        },
        text=texts,
        hovertemplate="%{text}<extra></extra>",
    )


def _ends(
    row: Any, place: dict[int, int], end: float, *, halfway: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Tail and head of an arrow; a lost message stops where it was lost, a flying one where the chart ends."""
    y0, y1 = place[row.src], place[row.dst]
    edge = 0.16 if y1 > y0 else -0.16
    arrives = row.received if pd.notna(row.received) else min(row.sent + 0.008, end)
    tail, head = (float(row.sent), y0 + edge), (float(arrives), y1 - edge)
    if not halfway or pd.notna(row.received):
        return tail, head
    return tail, ((tail[0] + head[0]) / 2, (tail[1] + head[1]) / 2)


def _words(row: Any) -> str:
    times = f"{row.count} × " if row.count > 1 else ""
    what = f"{times}{row.kind} in term {row.term}, n{row.src} to n{row.dst}"
    extra = (
        f"<br>{int(row.entries)} entries behind index {int(row.prev_index)}"
        if pd.notna(row.entries) and row.entries
        else ""
    )
    verdict = "<br>granted" if row.granted is True else "<br>refused" if row.granted is False else ""
    return f"{what}{extra}{verdict}<br>sent {row.sent:.4f} s, {row.fate}"


def _draw_letters(fig: go.Figure, messages: pd.DataFrame, place: dict[int, int], end: float) -> None:
    """The letter of each message a third of the way along its arrow; + or − where it says yes or no."""
    points = [(_ends(row, place, end, halfway=False), _letter(row)) for row in messages.itertuples()]
    fig.add_scatter(
        x=[tail[0] + (head[0] - tail[0]) * 0.4 for (tail, head), _ in points],
        y=[tail[1] + (head[1] - tail[1]) * 0.4 for (tail, head), _ in points],
        mode="text",
        text=[letter for _, letter in points],
        textfont={
            "size": 10,
            "color": theme.INK,
            "shadow": "1px 1px 1px white, -1px -1px 1px white, 1px -1px 1px white",
        },
        hoverinfo="skip",
        showlegend=False,
    )


def _letter(row: Any) -> str:
    verdict = row.granted if pd.notna(row.granted) else row.success
    sign = "" if pd.isna(verdict) else "+" if verdict else "−"
    count = f"{int(row.entries)}" if row.kind == "AppendRequest" and row.entries else ""
    return theme.GLYPHS.get(str(row.kind), "?") + count + sign


# Marks


def _draw_marks(fig: go.Figure, events: pd.DataFrame, lanes: list[int], begin: float, end: float) -> None:
    """Crashes, restarts and pauses on the lane; a diamond where a node begins to lead."""
    place = {node: lane for lane, node in enumerate(lanes)}
    seen = events[(events["time"] >= begin) & (events["time"] <= end) & events["node"].isin(lanes)]
    seen = seen[(seen["time"] > 0) | (seen["kind"] != "restart")]
    for kind, (symbol, says) in MARKS.items():
        _mark(fig, seen[seen["kind"] == kind], place, symbol, says)
    leads = seen["role"].astype(str).eq("leader")
    before = leads.groupby(seen["node"]).shift(fill_value=False)
    _mark(fig, seen[leads & ~before], place, "diamond", "leads")


def _mark(fig: go.Figure, rows: pd.DataFrame, place: dict[int, int], symbol: str, says: str) -> None:
    if len(rows):
        fig.add_scatter(
            x=rows["time"],
            y=[place[node] for node in rows["node"]],
            mode="markers",
            name=says,
            marker={"symbol": symbol, "size": 11, "color": theme.INK, "line": {"color": "#FFFFFF", "width": 1}},
            text=[f"n{node} {says} at {time:.3f} s" for node, time in zip(rows["node"], rows["time"], strict=True)],
            hovertemplate="%{text}<extra></extra>",
        )
