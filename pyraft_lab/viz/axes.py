"""The axes of a static picture: their ranges from the data, and their grid lines."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyraft_lab.viz import svg_marks
from pyraft_lab.viz.axis import Axis

Json = Mapping[str, Any]
Box = tuple[float, float, float, float]


def axis(layout: Json, name: str, data: Sequence[Json], box: Box) -> Axis:
    """The ``x`` or ``y`` axis of a figure."""
    look = layout.get(f"{name}axis", {})
    start, stop = (box[0], box[2]) if name == "x" else (box[3], box[1])
    every = [value for trace in data for value in _values(trace, name) if value is not None]
    is_named = look.get("type") == "category" or any(isinstance(value, str) for value in every)
    names = list(dict.fromkeys(map(str, every))) if is_named else []
    if names:
        look = {"range": [-0.5, len(names) - 0.5], **look}
    return Axis(look, [] if names else [float(value) for value in every], names, start, stop)


def _values(trace: Json, name: str) -> Iterator[Any]:
    """Every value that must be visible; bars include their base and their width."""
    values = svg_marks.numbers(trace.get(name))
    if trace["type"] != "bar":
        yield from values
    elif name == ("x" if trace.get("orientation") == "h" else "y"):
        for place, value in enumerate(values):
            base = svg_marks.pick(trace.get("base"), place, 0.0)
            yield from (base, base + value)
    else:
        for value in values:
            yield from (value,) if isinstance(value, str) else (value - 0.5, value + 0.5)


def gridlines(x: Axis, y: Axis, box: Box) -> Iterator[str]:
    """Grid, ticks and the names of both axes."""
    left, top, right, bottom = box
    above = x.look.get("side") == "top"
    if x.look.get("visible", True):
        for px, words in x.ticks():
            if x.look.get("showgrid", True):
                yield f'<path d="M{svg_marks.n(px)} {top}V{bottom}" stroke="{x.look.get("gridcolor", "#EEF1F4")}"/>'
            yield svg_marks.text(px, top - 6 if above else bottom + 8, words, up="bottom" if above else "top")
        name = x.look.get("title", {}).get("text")
        if name:
            yield svg_marks.text((left + right) / 2, bottom + 26, name, font={"size": 13}, up="top")
    if y.look.get("visible", True):
        for py, words in y.ticks():
            if y.look.get("showgrid", True):
                yield f'<path d="M{left} {svg_marks.n(py)}H{right}" stroke="{y.look.get("gridcolor", "#EEF1F4")}"/>'
            yield svg_marks.text(left - 6, py, words, across="right")
        yield from _beside(y, box)


def _beside(y: Axis, box: Box) -> Iterator[str]:
    name = y.look.get("title", {}).get("text")
    if name:
        middle = svg_marks.n((box[1] + box[3]) / 2)
        yield f'<g transform="translate(16 {middle}) rotate(-90)">{svg_marks.text(0, 0, name, font={"size": 13})}</g>'
