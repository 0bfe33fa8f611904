"""The parts of a static picture: text, rectangles, lines, marks, each as a piece of SVG."""

import re
from array import array
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape, unescape
from math import atan2, cos, hypot, isnan, pi, sin
from typing import Any

from pyraft_lab.viz.axis import Axis
from pyraft_lab.viz.palette import DEEP, NUMERAL, PAPER, SHALLOW, TEXT

Json = Mapping[str, Any]
TAG = re.compile(r"<[^>]+>")
ANCHORS = {"left": "start", "center": "middle", "right": "end", "auto": "middle"}
DASHES = {"dash": "7 5", "dot": "2 3", "dashdot": "7 3 2 3", "longdash": "12 6"}
HATCHES = {
    "/": "M0 8L8 0M-2 2L2 -2M6 10L10 6",
    ".": "M3 3h2v2h-2z",
    "-": "M0 4H8",
    "x": "M0 0L8 8M0 8L8 0",
    "|": "M4 0V8",
}
PATTERNS = "<defs>" + "".join(
    f'<pattern id="h{number}" width="8" height="8" patternUnits="userSpaceOnUse">'
    f'<path d="{path}" stroke="{NUMERAL}" stroke-opacity=".4" fill="none"/></pattern>'
    for number, path in enumerate(HATCHES.values())
) + "</defs>"  # fmt: skip
CODES = {"f8": "d", "f4": "f", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I"}
"""Plotly's names of packed numbers, and Python's."""
HATCH_IDS = {shape: f"h{number}" for number, shape in enumerate(HATCHES)}


def n(value: float) -> str:
    """A number of pixels, short.

    >>> n(12.04), n(3.26)
    ('12', '3.3')
    """
    return f"{value:.1f}".removesuffix(".0")


def numbers(value: Any) -> list[Any]:
    """An array of Plotly, packed or not, as a list; ``None`` as an empty list."""
    if value is None:
        return []
    if isinstance(value, Mapping):  # an array of numbers, packed for the browser
        packed = array(CODES[value["dtype"]], b64decode(value["bdata"])).tolist()
        rows, *columns = map(int, str(value.get("shape", len(packed))).split(","))
        return packed if not columns else _in_rows(packed, rows)
    return list(value.tolist() if hasattr(value, "tolist") else value)


def _in_rows(values: list[Any], rows: int) -> list[Any]:
    size = len(values) // rows if rows else 0
    return [values[row * size : (row + 1) * size] for row in range(rows)]


def pick(value: Any, place: int, otherwise: Any) -> Any:
    """One of many, or the same for all."""
    if value is None:
        return otherwise
    if isinstance(value, (str, int, float, bool)):
        return value
    value = numbers(value) if isinstance(value, Mapping) else value
    return value[place] if place < len(value) else otherwise


# Text and rectangles


def text(x: float, y: float, words: str, *, font: Json = {}, across: str = "center", up: str = "middle") -> str:  # noqa: B006 (read only)
    """Text at a position, in lines, with bold parts; nothing for an empty text."""
    if not words:
        return ""
    lines = str(words).split("<br>")
    size = float(font.get("size", 12))
    first = y + {"top": 0.8, "middle": 0.36, "bottom": -0.2}.get(up, 0.36) * size
    first -= {"top": 0.0, "middle": 0.5, "bottom": 1.0}.get(up, 0.5) * size * 1.25 * (len(lines) - 1)
    look = f' text-anchor="{ANCHORS[across]}"' if across != "left" else ""
    look += "".join(f' {name}="{font[key]}"' for key, name in (("color", "fill"), ("size", "font-size")) if key in font)
    look += ' class="halo"' if "shadow" in font else ""
    if len(lines) == 1:
        return f'<text x="{n(x)}" y="{n(first)}"{look}{_weight(lines[0])}>{_plain(lines[0])}</text>'
    rows = (
        f'<tspan x="{n(x)}" y="{n(first + row * size * 1.25)}"{_weight(line)}>{_plain(line)}</tspan>'
        for row, line in enumerate(lines)
    )
    return f"<text{look}>{''.join(rows)}</text>"


def _weight(line: str) -> str:
    small = re.search(r"font-size:(\d+)px", line)
    whole = line.startswith("<b>") and line.endswith("</b>")
    return (f' font-size="{small.group(1)}"' if small else "") + (' font-weight="bold"' if whole else "")


def _plain(line: str) -> str:
    if line.startswith("<b>") and line.endswith("</b>"):
        line = line[3:-4]
    parts = re.split(r"(<b>.*?</b>)", line)
    return "".join(
        f'<tspan font-weight="bold">{_bare(part)}</tspan>' if "<b>" in part else _bare(part) for part in parts
    )


def _bare(part: str) -> str:
    return escape(unescape(TAG.sub("", part)))


def rect(x: float, y: float, width: float, height: float, fill: str | None, more: str) -> str:  # noqa: PLR0917
    """A rectangle; ``more`` is the look of its border."""
    return f'<rect x="{n(x)}" y="{n(y)}" width="{n(width)}" height="{n(height)}" fill="{fill or "none"}"{more}/>'


def stroke(line: Json) -> str:
    """The look of a line."""
    width = line.get("width", 2 if line else 0)
    if not width:
        return ""
    dash = line.get("dash", "solid")
    dashes = DASHES.get(dash, dash.replace("px", "").replace(",", " ")) if dash != "solid" else ""
    return f' stroke="{line.get("color", TEXT)}" stroke-width="{width}"' + (
        f' stroke-dasharray="{dashes}"' if dashes else ""
    )


# Traces


def bar(trace: Json, x: Axis, y: Axis) -> Iterator[str]:
    """Horizontal or vertical bars, each from its ``base``."""
    marker, words, font = trace.get("marker", {}), numbers(trace.get("text")), trace.get("textfont", {})
    line, pattern = marker.get("line", {}), marker.get("pattern", {})
    for place, box in enumerate(boxes(trace, x, y)):
        look = {"color": pick(line.get("color"), place, TEXT), "width": pick(line.get("width"), place, 0)}
        yield rect(*box, pick(marker.get("color"), place, "#E4E7EB"), stroke(look))
        hatch = HATCH_IDS.get(pick(pattern.get("shape"), place, ""))
        if hatch:
            yield rect(*box, f"url(#{hatch})", "")
        left, top, width, height = box
        starts = trace.get("insidetextanchor") == "start"
        own = {"size": 11, "color": pick(font.get("color"), place, TEXT)}
        at = left + 4 if starts else left + width / 2
        yield text(at, top + height / 2, pick(words, place, ""), font=own, across="left" if starts else "center")


def boxes(trace: Json, x: Axis, y: Axis) -> Iterator[tuple[float, float, float, float]]:
    """Left, top, width and height of each bar."""
    horizontal, bases = trace.get("orientation") == "h", numbers(trace.get("base"))
    lengths, middles = (numbers(trace.get(name)) for name in ("xy" if horizontal else "yx"))
    along, across = (x, y) if horizontal else (y, x)
    for place, (length, middle) in enumerate(zip(lengths, middles, strict=True)):
        base, half = pick(bases, place, 0.0), pick(trace.get("width"), place, 0.8) / 2
        near, far = sorted((along.at(base), along.at(base + length)))
        one, other = sorted((across.at(middle, -half), across.at(middle, half)))
        reach, width = max(far - near, 0.5), other - one
        yield (near, one, reach, width) if horizontal else (one, near, width, reach)


def scatter(trace: Json, x: Axis, y: Axis) -> Iterator[str]:
    """Lines, areas, marks and text."""
    xs, ys = numbers(trace.get("x")), numbers(trace.get("y"))
    points = [
        None if px is None or py is None or isnan(px) else (x.at(px), y.at(py)) for px, py in zip(xs, ys, strict=True)
    ]
    mode, line = trace.get("mode", "lines"), trace.get("line", {})
    if "lines" in mode and points:
        fill = trace.get("fillcolor", "none") if trace.get("fill") == "toself" else "none"
        yield f'<path d="{_path(points, line.get("shape", "linear"))}" fill="{fill}"{stroke(line)}/>'
    if "markers" in mode:
        yield from _marks(trace, points)
    if "text" in mode:
        font, (across, up) = trace.get("textfont", {}), _beside(trace)
        for place, point in enumerate(points):
            if point is not None:
                own = {**font, "size": pick(font.get("size"), place, 12), "color": pick(font.get("color"), place, TEXT)}
                yield text(*point, pick(trace.get("text"), place, ""), font=own, across=across, up=up)


def _beside(trace: Json) -> tuple[str, str]:
    side = str(trace.get("textposition", "middle center"))
    across = "left" if "right" in side else "right" if "left" in side else "center"
    return across, "bottom" if "top" in side else "top" if "bottom" in side else "middle"


def _path(points: Sequence[tuple[float, float] | None], shape: str) -> str:
    parts, pen_up = [], True
    for point in points:
        if point is None:
            pen_up = True
            continue
        px, py = map(n, point)
        parts.append(f"M{px} {py}" if pen_up else f"H{px}V{py}" if shape == "hv" else f"L{px} {py}")
        pen_up = False
    return "".join(parts)


def _marks(trace: Json, points: Sequence[tuple[float, float] | None]) -> Iterator[str]:
    """All marks; marks with the same style share one path."""
    marker, alike = trace.get("marker") or trace.get("line", {}), dict[str, list[str]]()  # Plotly: as the line
    line, turns = marker.get("line", {}), marker.get("angleref") == "previous"
    for place, point in enumerate(points):
        size = pick(marker.get("size"), place, 6)
        if point is None or not size:
            continue
        symbol, colour = pick(marker.get("symbol"), place, "circle"), pick(marker.get("color"), place, TEXT)
        look = {"color": pick(line.get("color"), place, TEXT), "width": pick(line.get("width"), place, 0)}
        before = points[place - 1] if turns and place else None
        if before is not None:
            point = _short_of(point, before, float(marker.get("standoff", 0)))  # noqa: PLW2901 (where the head really is)
        path = outline(symbol, point, size, before)
        alike.setdefault(mark_style(symbol, colour, look), []).append(path)
    for look_of, paths in alike.items():
        yield f'<path d="{"".join(paths)}"{look_of}/>'


def _short_of(point: "Point", before: "Point", gap: float) -> "Point":
    """The point a number of pixels before the end of a line."""
    length = hypot(point[0] - before[0], point[1] - before[1]) or 1.0
    return point[0] - (point[0] - before[0]) * gap / length, point[1] - (point[1] - before[1]) * gap / length


Point = tuple[float, float]
CROSSES = ("x", "x-thin", "line-ns")
CORNERS: Mapping[str, Sequence[Point]] = {
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    "triangle-up": ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    "triangle-down": ((0, 1.2), (1.1, -0.8), (-1.1, -0.8)),
    "cross": tuple(
        (x * a + y * b, y * a - x * b)
        for a, b in ((1, 0), (0, 1), (-1, 0), (0, -1))
        for x, y in ((-0.4, -0.4), (-0.4, -1), (0.4, -1))
    ),
    "arrow": ((0, 0), (0.7, 2), (-0.7, 2)),
}


def mark_style(symbol: str, colour: str, line: Json) -> str:
    """Fill and border of a mark."""
    if symbol.removesuffix("-open") in CROSSES:
        return stroke({"color": colour, "width": 3 if symbol == "x" else 1.6})
    if symbol.endswith("-open"):
        return f' class="paper" fill="{PAPER}"{stroke({"color": colour, "width": max(line.get("width", 1), 1)})}'
    return f' fill="{colour}"{stroke(line)}'


def outline(symbol: str, at: Point, size: float, before: Point | None = None) -> str:
    """The path of one mark; an arrow's head points away from the start of its line."""
    half, name = size / 2, symbol.removesuffix("-open")
    x, y, r = n(at[0]), n(at[1]), n(half)
    if name in CROSSES:
        left, top, far = n(at[0] - half), n(at[1] - half), n(size)
        return f"M{x} {top}v{far}" if name == "line-ns" else f"M{left} {top}l{far} {far}m-{far} 0l{far} -{far}"
    if name not in CORNERS:
        return f"M{x} {y}m-{r} 0a{r} {r} 0 1 0 {n(size)} 0a{r} {r} 0 1 0 -{n(size)} 0"
    turn = atan2(at[1] - before[1], at[0] - before[0]) + pi / 2 if before is not None else 0.0
    corners = (_turned(corner, turn, half, at) for corner in CORNERS[name])
    return f"M{'L'.join(corners)}Z"


def _turned(corner: Point, turn: float, half: float, at: Point) -> str:
    x, y = corner[0] * half, corner[1] * half
    return f"{n(at[0] + x * cos(turn) - y * sin(turn))} {n(at[1] + x * sin(turn) + y * cos(turn))}"


def heatmap(trace: Json, x: Axis, y: Axis) -> Iterator[str]:
    """A map: darker means more."""
    rows = [
        [None if value is None or isnan(value) else float(value) for value in numbers(row)]
        for row in numbers(trace["z"])
    ]
    known = [value for row in rows for value in row if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    half_x, half_y = abs(x.at(x.first + 1) - x.at(x.first)) / 2, abs(y.at(y.first + 1) - y.at(y.first)) / 2
    for row, across in zip(numbers(trace["y"]), rows, strict=True):
        for column, value in zip(numbers(trace["x"]), across, strict=True):
            if value is None:
                continue
            share, px, py = (value - low) / ((high - low) or 1.0), x.at(column), y.at(row)
            yield rect(px - half_x, py - half_y, 2 * half_x, 2 * half_y, shade(share), f' stroke="{PAPER}"')
            yield text(px, py, f"{value:.3g}", font={"color": NUMERAL})


def shade(share: float) -> str:
    """Pale for the least, blue for the most.

    >>> shade(0.0), shade(1.0)
    ('#dcebf7', '#2e93d1')
    """
    ends = zip(bytes.fromhex(SHALLOW[1:]), bytes.fromhex(DEEP[1:]), strict=True)
    return "#" + "".join(f"{round(pale + (deep - pale) * share):02x}" for pale, deep in ends)


DRAWN: Mapping[str, Callable[[Json, Axis, Axis], Iterator[str]]] = {
    "bar": bar,
    "scatter": scatter,
    "heatmap": heatmap,
}


def sample(trace: Json, x: float, y: float) -> Iterator[str]:
    """The legend mark of a trace."""
    marker, line = trace.get("marker", {}), trace.get("line", {})
    if "lines" in trace.get("mode", ""):
        yield f'<path d="M{n(x)} {n(y)}H{n(x + 26)}"{stroke(line)}/>'
    if "markers" in trace.get("mode", ""):
        sizes = marker.get("size")
        size = sizes if isinstance(sizes, (int, float)) else max(numbers(sizes), default=6)
        symbol, colour = pick(marker.get("symbol"), 0, "circle"), pick(marker.get("color"), 0, TEXT)
        look = {"color": pick(marker.get("line", {}).get("color"), 0, TEXT), "width": 1}
        at = (x + 26, y) if symbol.startswith("arrow") else (x + 13, y)
        tail = (x, y) if symbol.startswith("arrow") else None
        yield f'<path d="{outline(symbol, at, size, tail)}"{mark_style(symbol, colour, look)}/>'
