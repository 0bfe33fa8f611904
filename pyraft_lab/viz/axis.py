"""One axis of a static picture: from values to pixels, with ticks at round numbers."""

from collections.abc import Iterator, Mapping, Sequence
from math import floor, log10
from typing import Any

Json = Mapping[str, Any]


class Axis:
    """One axis: the positions of its values, and its ticks."""

    def __init__(self, look: Json, values: Sequence[float], names: Sequence[str], start: float, stop: float) -> None:
        self.look, self.names = look, names
        first, last = look.get("range") or _reach(values, look)
        self.first, self.last, self._start, self._stop = float(first), float(last), start, stop

    def at(self, value: Any, aside: float = 0.0) -> float:
        """The pixel of a value, or of a category name, plus an offset."""
        number = aside + (self.names.index(str(value)) if str(value) in self.names else float(value))
        return self._start + (self._stop - self._start) * (number - self.first) / ((self.last - self.first) or 1.0)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Pixel and label of each tick within the range."""
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
    """The range that shows all values, with a margin."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.05 * ((high - low) or 1.0)
    return (0.0 if look.get("rangemode") == "tozero" else low - room), high + room
