"""The roles of servers as bands: hue and numeral are the term, border, hatching and word the role."""

from collections.abc import Sequence

from msgspec.structs import replace

from pyraft_lab.term_colours import NO_TERM, term_colour
from pyraft_lab.viz import palette, theme
from pyraft_lab.viz.sketch import Sketch
from pyraft_lab.viz.source import Run, Span, separations, spans

WIDTH = 620
"""The width of a chart's time axis on a page of 700 pixels; a label is drawn in a band if it fits there."""
CHARACTER_WIDTH = 6.8
"""The approximate width of a character in pixels."""


def role_bands(run: Run, lanes: Sequence[int], begin: float, end: float) -> list[Span]:
    """The roles of a chart's nodes between two times, cut at both."""
    return [
        replace(one, start=max(one.start, begin), stop=min(one.stop, end))
        for one in spans(run, end)
        if one.stop > begin and one.start < end and one.node in lanes
    ]


def draw(
    fig: Sketch, bands: Sequence[Span], lanes: Sequence[int], *, width: float, room: float, indent: str = ""
) -> None:
    """Each stretch of a node's life as a bar, a trace for each role; the chart shows ``room`` seconds."""
    place = {node: lane for lane, node in enumerate(lanes)}
    for role in sorted({one.role for one in bands}):
        rows = [one for one in bands if one.role == role]
        fig.add_bar(
            name=role,
            orientation="h",
            base=[row.start for row in rows],
            x=[row.stop - row.start for row in rows],
            y=[place[row.node] for row in rows],
            width=width if role != "learner" else width * 0.6,
            text=[fitting(row, room, indent) for row in rows],
            textposition="inside",
            insidetextanchor="start",
            textangle=0,
            textfont={"color": [text_colour(row) for row in rows], "size": 11},
            marker={
                "color": [fill(row) for row in rows],
                "line": {"color": palette.TEXT, "width": theme.ROLE_BORDER.get(role, 0.8)},
                "pattern": {
                    "shape": theme.ROLE_HATCH.get(role, ""),
                    "fillmode": "overlay",
                    "fgcolor": palette.TEXT,
                    "fgopacity": 0.35,
                    "size": 7,
                },
            },
            hovertext=[f"{band_in_words(row)}<br>from {row.start:.3f} s to {row.stop:.3f} s" for row in rows],
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,
            zorder=1,
        )


def fill(row: Span) -> str:
    """The colour of a band."""
    return NO_TERM if row.role in theme.NOT_TAKING_PART else term_colour(row.term)


def text_colour(row: Span) -> str:
    """The colour of the text in a band."""
    return palette.NUMERAL if row.role in theme.NOT_TAKING_PART else theme.numeral_colour(row.term)


def fitting(row: Span, room: float, indent: str = "") -> str:
    """The longest label that fits: role and term, the term alone, or nothing."""
    pixels = (row.stop - row.start) / room * WIDTH - 6
    terms = "" if row.role in theme.NOT_TAKING_PART or not row.term else f" {row.term}"
    before = indent if row.role in {"leader", "down"} else ""
    words = (f"{before}{row.role}{terms}", f"{before}{terms.strip() or row.role}")
    return next((word for word in words if len(word) * CHARACTER_WIDTH <= pixels), "")


def band_in_words(row: Span) -> str:
    """What a node was for the length of a band: ``n2 leads term 3``, ``n1 is down``."""
    if row.role in theme.NOT_TAKING_PART:
        return f"n{row.node} is {row.role}"
    article = "an" if row.role[0] in "aeiou" else "a"
    return f"n{row.node} {'leads' if row.role == 'leader' else f'is {article} {row.role} in'} term {row.term}"


def key(bands: Sequence[Span]) -> str:
    """The meaning of border and hatching in these bands."""
    seen = {one.role for one in bands}
    return " · ".join(["colour and number: term", *(says for role, says in theme.ROLE_KEY.items() if role in seen)])


def finding(bands: Sequence[Span]) -> str:
    """The leader at the end, and the number of leaderships.

    >>> finding([Span(node=1, start=0.5, stop=2.0, term=1, role="leader")])
    'n1 leads term 1 from 0.500 s to the end'
    """
    leads = [one for one in bands if one.role == "leader"]
    if not leads:
        return "nobody leads"
    last = max(leads, key=lambda one: (one.term, one.start))
    until = "the end" if last.stop >= max(one.stop for one in bands) else f"{last.stop:.3f} s"
    count = f"; {len(leads)} leaderships" if len(leads) > 1 else ""
    return f"n{last.node} leads term {last.term} from {last.start:.3f} s to {until}{count}"


def bands_in_words(bands: Sequence[Span], lanes: Sequence[int], most: int = 6) -> str:
    """The roles of each node in order; the last ones if there are many."""
    return ". ".join(_life(node, [one for one in bands if one.node == node], most) for node in lanes)


def _life(node: int, bands: Sequence[Span], most: int) -> str:
    parts = [
        f"{row.role}{'' if row.role in theme.NOT_TAKING_PART else f' {row.term}'} from {row.start:.3f} s"
        for row in bands[-most:]
    ]
    left = f"(after {len(bands) - len(parts)} others) " if len(bands) > len(parts) else ""
    return f"n{node}: {left}{', '.join(parts) or 'nothing'}"


def draw_cuts(fig: Sketch, run: Run, begin: float, end: float) -> bool:
    """Draw a lane above the others with the cut links; say whether there were any."""
    cuts = separations(run, begin, end)
    for start, stop, said in cuts:
        fig.add_bar(
            name="links",
            orientation="h",
            base=[start],
            x=[stop - start],
            y=[-0.78],
            width=0.4,
            constraintext="none",
            text=[f"cut: {said}"],
            textposition="inside",
            insidetextanchor="start",
            textangle=0,
            textfont={"size": 10, "color": palette.NUMERAL},
            marker={"color": NO_TERM, "line": {"color": palette.FAINT, "width": 1}},
            hovertext=[f"links are cut: {said}<br>from {start:.3f} s to {stop:.3f} s"],
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,
        )
        for when in (start, stop):
            fig.add_shape(
                type="line",
                x0=when,
                x1=when,
                y0=0,
                y1=1,
                yref="paper",
                line={"color": palette.FAINT, "width": 1, "dash": "dot"},
                layer="below",
            )
    return bool(cuts)
