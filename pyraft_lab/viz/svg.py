"""Figures of this package as static pictures: SVG from the same numbers, without a browser.

It supports only the parts that these figures use (bars, lines, marks, text, maps), not all of Plotly.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pyraft_lab.viz import svg_marks
from pyraft_lab.viz.axes import axis, gridlines
from pyraft_lab.viz.axis import Axis
from pyraft_lab.viz.palette import CARD, STATIC_STYLE, TEXT

Json = Mapping[str, Any]
LEGEND = 10.0
"""The left edge of a legend, in pixels."""


def svg(plain: Json, width: int) -> str:
    """The whole picture; ``plain`` is Plotly's plain form of a figure, ``width`` in pixels."""
    layout, data = plain["layout"], [trace for trace in plain["data"] if trace.get("visible", True) is True]
    height = int(layout.get("height") or 400)
    box = _box(layout, width, height)
    x, y = axis(layout, "x", data, box), axis(layout, "y", data, box)
    font = layout.get("font", {})
    look = f'font-family="{font.get("family", "sans-serif")}" font-size="{font.get("size", 12)}"'
    inside = svg_marks.rect(box[0], box[1], box[2] - box[0], box[3] - box[1], "none", "")
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {look}>',
        f'<g fill="{font.get("color", TEXT)}">',
        svg_marks.PATTERNS,
        f'<clipPath id="c">{inside}</clipPath>',
        f"<style>{STATIC_STYLE}</style>{CARD}",
        *gridlines(x, y, box),
        '<g clip-path="url(#c)">',
        *_shapes(layout, x, y, box, layer="below"),
        *(part for trace in sorted(data, key=_order) for part in svg_marks.DRAWN[trace["type"]](trace, x, y)),
        *_shapes(layout, x, y, box, layer="above"),
        "</g>",
        *_notes(layout, x, y, box),
        *_title(layout),
        *_legend(layout, data, height),
        "</g></svg>",
    ]
    return "".join(parts)


def _order(trace: Json) -> tuple[int, bool]:
    """The drawing order: bars below lines, unless a trace sets its own order."""
    return trace.get("zorder", 0), trace["type"] != "bar"


def _box(layout: Json, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the plot, in pixels."""
    margin = {"l": 80, "r": 80, "t": 100, "b": 80} | dict(layout.get("margin", {}))
    return margin["l"], margin["t"], width - margin["r"], height - margin["b"]


def _place(value: float, ref: str, along: Axis, start: float, stop: float) -> float:
    """A place on an axis, or as a part of the paper."""
    if ref.startswith("paper") or "domain" in ref:
        return start + (stop - start) * value
    return along.at(value)


def _shapes(layout: Json, x: Axis, y: Axis, box: tuple[float, float, float, float], *, layer: str) -> Iterator[str]:
    left, top, right, bottom = box
    for shape in layout.get("shapes", ()):
        if shape.get("layer", "above") != layer:
            continue
        xs = [_place(shape[name], shape.get("xref", "x"), x, left, right) for name in ("x0", "x1")]
        ys = [_place(shape[name], shape.get("yref", "y"), y, bottom, top) for name in ("y0", "y1")]
        stroke = svg_marks.stroke(shape.get("line", {}))
        if shape["type"] == "line":
            start, end = (f"{svg_marks.n(x)} {svg_marks.n(y)}" for x, y in zip(xs, ys, strict=True))
            yield f'<path d="M{start}L{end}"{stroke}/>'
        else:
            yield svg_marks.rect(
                min(xs), min(ys), abs(xs[1] - xs[0]), abs(ys[1] - ys[0]), shape.get("fillcolor"), stroke
            )


def _notes(layout: Json, x: Axis, y: Axis, box: tuple[float, float, float, float]) -> Iterator[str]:
    left, top, right, bottom = box
    for note in layout.get("annotations", ()):
        px = _place(note.get("x", 0), note.get("xref", "x"), x, left, right) + note.get("xshift", 0)
        py = _place(note.get("y", 0), note.get("yref", "y"), y, bottom, top) - note.get("yshift", 0)
        font = note.get("font", {})
        yield svg_marks.text(
            px, py, note["text"], font=font, across=note.get("xanchor", "center"), up=note.get("yanchor", "middle")
        )


def _title(layout: Json) -> Iterator[str]:
    title = layout.get("title", {})
    left = title.get("pad", {}).get("l", 12)
    yield svg_marks.text(left, 12, title.get("text", ""), font=title.get("font", {}), across="left", up="top")
    under, more = title.get("subtitle", {}), str(title.get("text", "")).count("<br>")
    yield svg_marks.text(
        left, 34 + 19 * more, under.get("text", ""), font=under.get("font", {}), across="left", up="top"
    )


def _legend(layout: Json, data: list[Json], height: int) -> Iterator[str]:
    """One line at the bottom: the mark of each trace that has a name, and the name."""
    if layout.get("showlegend") is not True:
        return
    at, y = LEGEND, height - 12
    for trace in data:
        if trace.get("showlegend", True) and trace.get("name"):
            yield from svg_marks.sample(trace, at, y)
            yield svg_marks.text(at + 34, y, trace["name"], font={"size": 11}, across="left", up="middle")
            at += 50 + 6.6 * len(trace["name"])
