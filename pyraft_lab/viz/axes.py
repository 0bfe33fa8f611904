"""The axes of a still picture: from values to pixels, with ticks at round numbers."""

from collections.abc import Iterator, Mapping, Sequence
from math import floor, log10
from typing import Any

from pyraft_lab.viz import ink

Json = Mapping[str, Any]
Box = tuple[float, float, float, float]


class Axis:
    """One axis: where its values are, and which of them are named."""

    def __init__(self, look: Json, values: Sequence[float], names: Sequence[str], start: float, stop: float) -> None:
        self.look, self.names = look, names
        first, last = look.get("range") or _reach(values, look)
        self.first, self.last, self._start, self._stop = float(first), float(last), start, stop

    def at(self, value: Any, aside: float = 0.0) -> float:
        """The pixel of a value; of a name, where the axis has names; or of what is so far aside."""
        number = aside + (self.names.index(str(value)) if str(value) in self.names else float(value))
        return self._start + (self._stop - self._start) * (number - self.first) / ((self.last - self.first) or 1.0)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Pixel and words of each tick within the range."""
        for value, words in self._named():
            if min(self.first, self.last) <= value <= max(self.first, self.last):
                yield self._start + (self._stop - self._start) * (value - self.first) / (self.last - self.first), words

    def _named(self) -> Iterator[tuple[float, str]]:
        values = self.look.get("tickvals")
        if values is not None:
            yield from zip(map(float, values), map(str, self.look.get("ticktext", values)), strict=False)
        elif self.names:
            yield from ((float(place), name) for place, name in enumerate(self.names))
        else:
            step = round_step(abs(self.last - self.first) / 8)
            lowest = floor(min(self.first, self.last) / step)
            yield from ((place * step, f"{place * step:.10g}") for place in range(lowest, lowest + 12))


def round_step(rough: float) -> float:
    """The step between ticks: one, two or five of some power of ten.

    >>> round_step(0.13), round_step(3), round_step(0.07)
    (0.2, 5.0, 0.1)
    """
    power = 10.0 ** floor(log10(rough)) if rough > 0 else 1.0
    return next(round(factor * power, 12) for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _reach(values: Sequence[float], look: Json) -> tuple[float, float]:
    """The range that shows everything, with a little room."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.05 * ((high - low) or 1.0)
    return (0.0 if look.get("rangemode") == "tozero" else low - room), high + room


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
    """Every value that must be in sight; bars stand on their base, and beside their place."""
    values = ink.numbers(trace.get(name))
    if trace["type"] != "bar":
        yield from values
    elif name == ("x" if trace.get("orientation") == "h" else "y"):
        for place, value in enumerate(values):
            base = ink.pick(trace.get("base"), place, 0.0)
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
                yield f'<path d="M{ink.n(px)} {top}V{bottom}" stroke="{x.look.get("gridcolor", "#EEF1F4")}"/>'
            yield ink.text(px, top - 6 if above else bottom + 8, words, up="bottom" if above else "top")
        name = x.look.get("title", {}).get("text")
        if name:
            yield ink.text((left + right) / 2, bottom + 26, name, font={"size": 13}, up="top")
    if y.look.get("visible", True):
        for py, words in y.ticks():
            if y.look.get("showgrid", True):
                yield f'<path d="M{left} {ink.n(py)}H{right}" stroke="{y.look.get("gridcolor", "#EEF1F4")}"/>'
            yield ink.text(left - 6, py, words, across="right")
        yield from _beside(y, box)


def _beside(y: Axis, box: Box) -> Iterator[str]:
    name = y.look.get("title", {}).get("text")
    if name:
        middle = ink.n((box[1] + box[3]) / 2)
        yield f'<g transform="translate(16 {middle}) rotate(-90)">{ink.text(0, 0, name, font={"size": 13})}</g>'
