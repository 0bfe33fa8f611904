"""Who must agree, and who does: the voter sets of a membership, old and new, over one entry."""

from collections.abc import Sequence
from itertools import chain

import pandas as pd
import plotly.graph_objects as go

from pyraft_lab.errors import PyraftError
from pyraft_lab.trace.recorder import Trace
from pyraft_lab.viz import theme
from pyraft_lab.viz.source import Drawable, Frames, trace_of, window


def quorums(
    source: Drawable, *, index: int | None = None, at: float | None = None, title: str | None = None
) -> go.Figure:
    """Every voter set as a row: filled servers hold entry ``index`` on disk at time ``at``; each needs its majority.

    The membership is the one that governs the newest log at that time; ``index`` is the last entry unless given. While
    a membership is joint there are two rows, and an entry commits only when both say "enough" (§6).
    """
    trace = trace_of(source)
    _, when = window(trace, None, at)
    sets = voter_sets(trace, when)
    holders, place = _holders(trace, index, when)
    fig = theme.figure(title or f"Entry {place}: who holds it, who must", height=110 + 62 * len(sets), showlegend=False)
    members = sorted(set(chain.from_iterable(sets)))
    for row, voters in enumerate(sets):
        _draw_set(fig, row, voters, members, holders)
    names = ["C-old", "C-new"] if len(sets) == 2 else ["voters", "", "", ""]
    fig.update_yaxes(
        tickvals=list(range(len(sets))),
        ticktext=names[: len(sets)],
        range=[len(sets) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    fig.update_xaxes(visible=False, range=[-0.6, len(members) + 2.4])
    return fig


def voter_sets(trace: Trace | Frames, when: float) -> list[list[int]]:
    """The voter sets that govern the newest log at ``when``, as the ``membership`` column has them."""
    states = trace.states[trace.states["time"] <= when]
    if states.empty:
        raise PyraftError(f"nothing has happened by {when:g} s: there is no membership to draw")
    newest = states.sort_values(["last_term", "last_index", "time"]).iloc[-1]
    return [_ids(part) for part in str(newest["membership"]).split(" learners ")[0].split(" + ")]


def _ids(text: str) -> list[int]:
    return [int(part) for part in text.strip("{}").split(",") if part.isdigit()]


def _holders(trace: Trace | Frames, index: int | None, when: float) -> tuple[set[int], int]:
    """Who has the entry on disk at ``when``, and which entry that is: of several at the index, the leader's."""
    entries = trace.entries
    stored = entries[(entries["stored"] <= when) & ~(entries["truncated"] <= when)]
    appended = entries[(entries["appended"] <= when) & ~(entries["truncated"] <= when)]
    place = int(appended["index"].max() if index is None else index)
    rivals = appended[appended["index"] == place]
    if rivals.empty:
        return set(), place
    own = rivals[rivals["node"] == _leader(trace.states, when)]
    term = (rivals if own.empty else own)["term"].max()
    same = stored[(stored["index"] == place) & (stored["term"] == term)]
    return {int(node) for node in same["node"]}, place


def _leader(states: pd.DataFrame, when: float) -> int:
    """The leader of the highest term at ``when``; 0 for nobody."""
    now = states[states["time"] <= when].groupby("node").last()
    leaders = now[now["role"] == "leader"]
    return int(str(leaders["term"].idxmax())) if len(leaders) else 0


def _draw_set(fig: go.Figure, row: int, voters: Sequence[int], members: Sequence[int], holders: set[int]) -> None:
    held = [node for node in voters if node in holders]
    enough = 2 * len(held) > len(voters)
    fig.add_scatter(
        x=[members.index(node) for node in voters],
        y=[row] * len(voters),
        mode="markers+text",
        marker={
            "symbol": "square",
            "size": 34,
            "color": [theme.INK if node in holders else "#FFFFFF" for node in voters],
            "line": {"color": theme.INK, "width": 1.6},
        },
        text=[theme.node_name(node) for node in voters],
        textfont={"color": ["#FFFFFF" if node in holders else theme.INK for node in voters], "size": 12},
        hovertext=[f"n{node} {'holds it' if node in holders else 'does not hold it yet'}" for node in voters],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    word = f"<b>{len(held)} of {len(voters)}</b>{', enough' if enough else f', needs {len(voters) // 2 + 1}'}"
    fig.add_annotation(x=len(members) - 0.2, y=row, text=word, showarrow=False, xanchor="left")
