"""The voter sets of a membership, old and new, and which servers hold one entry."""

import math
from collections.abc import Sequence
from itertools import chain

from pyraft_lab.errors import PyraftError
from pyraft_lab.trace import given
from pyraft_lab.viz import palette, theme
from pyraft_lab.viz.figure import draws
from pyraft_lab.viz.sketch import Sketch
from pyraft_lab.viz.source import EntryRow, Run, Source, has_happened, roles_at, run_of, states_at, window


@draws
def quorums(source: Source, *, index: int | None = None, at: float | None = None, title: str | None = None) -> Sketch:
    """Every voter set as a row: filled servers hold entry ``index`` on disk at time ``at``; each needs its majority.

    With ``index`` the membership is the one that decided on that entry; without it the figure shows the last entry,
    under the membership of the newest log at that time. While a membership is joint there are two rows, and an entry
    commits only when both say "enough" (§6).
    """
    given.whole("index", index, 1)
    run = run_of(source)
    _, when = window(run, None, at, ends="at")
    sets = voter_sets(run, when if index is None else _decided(run.entries, index, when))
    holders, place = _holders(run, index, when)
    down = {node for node, role in roles_at(run, when).items() if role == "down"}
    fig = theme.figure(
        title or f"Entry {place}: the servers that hold it, and the majorities it needs",
        _verdict(sets, holders, when),
        height=52 * len(sets) + 10,
        key="dark with ✓: holds the entry on disk · white: does not yet" + (" · grey with ×: down" if down else ""),
        words=". ".join(_in_words(voters, holders) for voters in sets),
        axis_below=False,
    )
    members = sorted(set(chain.from_iterable(sets)))
    names = ["C-old", "C-new"] if len(sets) == 2 else [f"set {number + 1}" for number in range(len(sets))]
    for row, voters in enumerate(sets):
        _draw_set(fig, row, voters, members, holders=holders, down=down)
    fig.update_y_axis(
        tickvals=list(range(len(sets))),
        ticktext=["voters"] if len(sets) == 1 else names,
        range=[len(sets) - 0.45, -0.55],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
    fig.update_x_axis(visible=False, range=[-0.6, max(len(members) + 2.6, 8.0)], fixedrange=True)
    return fig


def _decided(entries: Sequence[EntryRow], index: int, when: float) -> float:
    """The last time before the entry was known to be committed: the voters of that time decided on it."""
    times = (row.committed for row in entries if row.index == index)
    known = min((time for time in times if time is not None and time <= when), default=None)
    return when if known is None else math.nextafter(known, 0.0)


def _verdict(sets: Sequence[Sequence[int]], holders: set[int], when: float) -> str:
    agreed = [_is_enough(voters, holders) for voters in sets]
    if len(sets) == 1:
        return f"at {when:.3f} s a majority of the voters {'holds' if agreed[0] else 'does not hold'} it"
    if all(agreed):
        return f"joint: both sets must agree, and at {when:.3f} s both do"
    missing = " and ".join(name for name, enough in zip(("the old", "the new"), agreed, strict=False) if not enough)
    return f"joint: both sets must agree; at {when:.3f} s {missing} set does not yet"


def _is_enough(voters: Sequence[int], holders: set[int]) -> bool:
    return 2 * len(set(voters) & holders) > len(voters)


def _in_words(voters: Sequence[int], holders: set[int]) -> str:
    held = ", ".join(theme.node_name(node) for node in voters if node in holders) or "nobody"
    return f"of {', '.join(map(theme.node_name, voters))} {held} holds it"


def voter_sets(run: Run, when: float) -> list[list[int]]:
    """The voter sets of the newest log at ``when``; from entries alone, those of the newest membership entry."""
    states = [row for row in states_at(run, when).values() if row.membership is not None]
    told = [row for row in run.entries if row.kind == "membership" and row.since is not None and row.since <= when]
    if states:
        newest = str(max(states, key=lambda row: (row.last_term, row.last_index, row.time)).membership)
    elif told:
        newest = max(told, key=lambda row: (row.term, row.index)).data
    else:
        raise PyraftError(f"no membership is known at {when:g} s: draw a trace, its states or its entries")
    return [_ids(part) for part in newest.split(" learners ")[0].split(" + ")]


def _ids(text: str) -> list[int]:
    return [int(part) for part in text.strip("{}").split(",") if part.isdigit()]


def _holders(run: Run, index: int | None, when: float) -> tuple[set[int], int]:
    """The servers with the entry on disk at ``when``, and its index: if its term differs, the leader's entry counts."""
    appended = [row for row in run.entries if row.is_in_log(when)]
    if not appended:
        return set(), index or 0
    place = max(row.index for row in appended) if index is None else index
    rivals = [row for row in appended if row.index == place]
    if not rivals:
        return set(), place
    leader = _leader(run, when)
    term = max(row.term for row in [row for row in rivals if row.node == leader] or rivals)
    same = {
        row.node
        for row in run.entries
        if (row.index, row.term) == (place, term)
        and has_happened(row.stored, when)
        and not has_happened(row.truncated, when)
    }
    return same | _covering(run, place, when), place


def _covering(run: Run, place: int, when: float) -> set[int]:
    """The servers whose snapshot on disk covers the entry: their logs begin after it."""
    return {
        node
        for node, row in states_at(run, when).items()
        if row.first_index > place and (row.stored is None or row.stored >= place)
    }


def _leader(run: Run, when: float) -> int:
    """The leader of the highest term at ``when``; 0 if there is none."""
    leaders = [row for row in states_at(run, when).values() if row.role == "leader"]
    return max(leaders, key=lambda row: row.term).node if leaders else 0


def _draw_set(
    fig: Sketch, row: int, voters: Sequence[int], members: Sequence[int], *, holders: set[int], down: set[int]
) -> None:
    held = len(set(voters) & holders)
    fills = [_fill(node, holders, down) for node in voters]
    fig.add_scatter(
        x=[members.index(node) for node in voters],
        y=[row] * len(voters),
        mode="markers+text",
        marker={
            "symbol": "square",
            "size": 34,
            "color": fills,
            "line": {"color": palette.TEXT, "width": 1.6},
        },
        text=[f"{theme.node_name(node)}{' ×' if node in down else ' ✓' if node in holders else ''}" for node in voters],
        textfont={
            "color": [palette.PAPER if fill == palette.HELD else palette.NUMERAL for fill in fills],
            "size": 12,
        },
        hovertext=[_told(node, holders, down) for node in voters],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    need = len(voters) // 2 + 1
    word = f"<b>{held} of {len(voters)}</b>{', enough' if held >= need else f', needs {need}'}"
    fig.add_annotation(theme.note(len(members) - 0.3, row, word, font={"size": 12, "color": palette.TEXT}))


def _fill(node: int, holders: set[int], down: set[int]) -> str:
    return palette.FAINT if node in down else palette.HELD if node in holders else palette.PAPER


def _told(node: int, holders: set[int], down: set[int]) -> str:
    has = "holds it on disk" if node in holders else "does not hold it yet"
    return f"n{node} {has}{', but is down' if node in down else ''}"
