"""The logs of all servers, aligned by index: where they agree, where they differ, and what is committed."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from pyraft_lab.term_colours import NO_TERM, term_colour
from pyraft_lab.trace import given
from pyraft_lab.viz import palette, theme
from pyraft_lab.viz.figure import draws
from pyraft_lab.viz.sketch import Sketch
from pyraft_lab.viz.source import EntryRow, Run, Source, has_happened, nodes_of, roles_at, run_of, states_at, window

COLUMNS = 14
"""The number of visible indexes; drag to see the others."""
MAX_INDEXES = 60
"""The number of newest indexes in a picture; the left edge shows the number of earlier ones."""
CHARACTERS_PER_CELL = 7
"""The number of characters of a command that fit a cell."""
KEY = "colour and number: term · solid border: known to be committed · dashed: not yet"


@draws
def logs(
    source: Source,
    *,
    at: float | None = None,
    nodes: list[int] | None = None,
    first: int | None = None,
    title: str | None = None,
) -> Sketch:
    """Every log as a row of cells at time ``at`` (seconds; the end by default).

    Hue and numeral are the term of an entry; a solid border means that its server knows it to be committed, a dashed
    one that it does not. The newest entries are visible, drag to see more; ``first`` sets the leftmost index.
    """
    given.whole("first", first, 1)
    run = run_of(source)
    lanes = nodes_of(run, nodes)
    _, when = window(run, None, at, ends="at")
    starts = {node: row.first_index for node, row in states_at(run, when).items()}
    cells = _cells(run.entries, lanes, when, starts)
    last = max((cell.index for cell in cells), default=1)
    left = max(1, last - COLUMNS + 1) if first is None else max(1, first)
    held = max(1, last - MAX_INDEXES + 1) if first is None else left
    fig = theme.figure(
        title or f"The logs at {when:.3f} s",
        _finding(cells, lanes, starts, last, held),
        height=44 * max(len(lanes), 1),
        key=KEY,
        axis_below=False,
        words=_words(cells, lanes),
    )
    _draw_cells(fig, [cell for cell in cells if held <= cell.index < held + MAX_INDEXES], lanes)
    _draw_starts(fig, starts, lanes, held, left)
    _axes(fig, _names(run, lanes, when), left, held, last)
    return fig


class Cell(Struct, frozen=True, gc=False):
    """One entry in a log at a time; ``done`` says whether its server knew it to be committed."""

    node: int
    index: int
    term: int
    leader: int | None
    kind: str
    data: str
    appended: float | None
    committed: float | None
    done: bool


def _cells(entries: Sequence[EntryRow], lanes: list[int], when: float, starts: Mapping[int, int]) -> list[Cell]:
    """The entries in the logs at ``when``; of several with one index the last one."""
    found: dict[tuple[int, int], Cell] = {}
    for row in entries:
        if row.node in lanes and row.index >= starts.get(row.node, 1) and row.is_in_log(when):
            done = has_happened(row.committed, when)
            found.pop((row.node, row.index), None)
            found[row.node, row.index] = Cell(
                row.node, row.index, row.term, row.leader, row.kind, row.data, row.appended, row.committed, done
            )
    return list(found.values())


def _finding(cells: Sequence[Cell], lanes: list[int], starts: Mapping[int, int], last: int, held: int) -> str:
    """How far entries are known to be committed, and how far the logs agree, as a sentence."""
    known = max((cell.index for cell in cells if cell.done), default=0)
    parts = [f"known to be committed up to {known}" if known else "nothing is known to be committed"]
    agreed = _agreement(cells, lanes, starts)
    if cells and agreed < last:
        parts.append(
            f"the logs {f'agree up to {agreed}' if agreed else 'agree in no entry'}, the longest ends at {last}"
        )
    if held > 1:
        parts.append(f"indexes from {held} on; use first= for earlier ones")
    return "; ".join(parts)


def _agreement(cells: Sequence[Cell], lanes: list[int], starts: Mapping[int, int]) -> int:
    """The last index up to which no two logs differ and none has ended; a snapshot covers only committed entries."""
    ends = {node: starts.get(node, 1) - 1 for node in lanes}
    entries: dict[int, set[tuple[int, int | None]]] = {}
    for cell in cells:
        ends[cell.node] = max(ends[cell.node], cell.index)
        entries.setdefault(cell.index, set()).add((cell.term, cell.leader))
    first_different = min((index for index, found in entries.items() if len(found) > 1), default=None)
    shortest = min(ends.values(), default=0)
    return shortest if first_different is None else min(shortest, first_different - 1)


def _words(cells: Sequence[Cell], lanes: list[int]) -> str:
    return ". ".join(_row_in_words(node, [cell for cell in cells if cell.node == node]) for node in lanes)


def _row_in_words(node: int, cells: Sequence[Cell]) -> str:
    if not cells:
        return f"n{node} holds no entry"
    last = max(cells, key=lambda cell: cell.index)
    known = f"{sum(cell.done for cell in cells)} known to be committed"
    return f"n{node} holds entries {min(cell.index for cell in cells)} to {last.index} of term {last.term}, {known}"


def _draw_cells(fig: Sketch, cells: Sequence[Cell], lanes: list[int]) -> None:
    place = {node: lane for lane, node in enumerate(lanes)}
    fig.update_layout(shapes=[_shape(cell, place[cell.node]) for cell in cells])
    fig.add_scatter(
        x=[cell.index for cell in cells],
        y=[place[cell.node] for cell in cells],
        mode="text",
        text=[_cell_text(cell) for cell in cells],
        textfont={"color": [theme.numeral_colour(cell.term) for cell in cells], "size": 12},
        hovertext=[_told(cell) for cell in cells],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _shape(row: Cell, lane: int) -> dict[str, Any]:
    solid = {"color": palette.TEXT, "width": 2.2, "dash": "solid"}
    numeral = theme.numeral_colour(row.term)  # seen on the fill, whatever the page's colour is
    dashed = {"color": numeral, "width": 1.8, "dash": "4px,3px"}
    return {
        "type": "rect",
        "x0": row.index - 0.45,
        "x1": row.index + 0.45,
        "y0": lane - 0.39,
        "y1": lane + 0.39,
        "fillcolor": term_colour(row.term),
        "line": solid if row.done else dashed,
        "layer": "below",
    }


def _cell_text(row: Cell) -> str:
    return f"<b>{row.term}</b><br><span style='font-size:9px'>{_clip(entry_text(row.kind, row.data))}</span>"


def entry_text(kind: str, data: object) -> str:
    """An entry in one or two words.

    >>> entry_text("normal", "x=1"), entry_text("noop", ""), entry_text("membership", "{1,2,3} + {3,4,5}")
    ('x=1', 'no-op', 'joint')
    """
    if kind == "membership":
        return "joint" if " + " in str(data) else "voters"
    return "no-op" if kind in ("noop", "blank") else str(data)  # "blank" in frames of earlier versions


def _clip(word: str) -> str:
    return word if len(word) <= CHARACTERS_PER_CELL else word[: CHARACTERS_PER_CELL - 1] + "…"


def _told(row: Cell) -> str:
    state = f"known to be committed since {row.committed:.3f} s" if row.done else "not known to be committed"
    what = row.data if row.kind == "membership" else entry_text(row.kind, row.data)
    begin = "present when first seen" if row.appended is None else f"appended at {row.appended:.3f} s"
    return f"n{row.node}, index {row.index}, term {row.term}<br>{what}<br>{begin}, {state}"


def _names(run: Run, lanes: list[int], when: float) -> list[str]:
    """The name of each row: the server, and its role if it leads or is down."""
    roles = roles_at(run, when)
    said = [roles.get(node, "") for node in lanes]
    return [
        f"<b>n{node}</b> {role}" if role in {"leader", *theme.NOT_TAKING_PART} else f"n{node}"
        for node, role in zip(lanes, said, strict=True)
    ]


def _draw_starts(fig: Sketch, starts: Mapping[int, int], lanes: list[int], held: int, left: int) -> None:
    """A grey block at the left for entries in a snapshot or before the picture."""
    for lane, node in enumerate(lanes):
        first = starts.get(node, 1)
        if max(first, held) == 1:
            continue
        end = max(first, held) - 0.5
        begin = min(left - 1.5, end - 1.0)
        fig.add_shape(
            type="rect",
            x0=held - 1.5,
            x1=end,
            y0=lane - 0.39,
            y1=lane + 0.39,
            fillcolor=NO_TERM,
            line={"color": palette.FAINT, "width": 1},
            layer="below",
        )
        word = f"snapshot to {first - 1}" if end - begin > 1.8 else f"to {first - 1}"
        word = word if first > held else f"+{held - 1}"
        fig.add_annotation(
            theme.note((begin + end) / 2, lane, word, xanchor="center", font={"size": 10, "color": palette.NUMERAL})
        )


def _axes(fig: Sketch, names: list[str], left: int, held: int, last: int) -> None:
    theme.lanes(fig, range(len(names)), names=names)
    fig.update_x_axis(
        side="top",
        range=[left - (1.6 if left > 1 else 0.7), max(min(last, left + COLUMNS - 1), left + 11) + 0.6],
        tickvals=list(range(held, last + 1)),
        showgrid=False,
        zeroline=False,
    )
    longest = max((len(name) for name in names), default=0)
    fig.add_annotation(
        theme.note(0, 1, "index", xref="paper", yref="paper", xanchor="right", yanchor="bottom", xshift=-8)
    )
    fig.update_layout(margin={"l": 56 if longest <= 3 else 92, "t": fig.margin["t"] + 18}, height=fig.height + 18)
