"""A figure as plain values: what Plotly draws in a browser and :mod:`pyraft_lab.viz.svg` without one.

A :class:`Sketch` needs neither Plotly nor pandas. ``viz.roles(sim)`` makes one and gives it to Plotly;
``viz.roles.sketch(sim)`` stops before that, and shows as a static picture.
"""

from base64 import b64encode
from collections.abc import Mapping
from html import escape
from typing import Any, Protocol

from pyraft_lab.viz.svg import svg
from pyraft_lab.viz.svg_marks import TAG

Json = dict[str, Any]
WIDTH = 860
"""The width of a static picture in pixels."""


class Drawable(Protocol):
    """Anything that has Plotly's plain form: a :class:`Sketch`, a Plotly figure."""

    def to_plotly_json(self) -> Json:
        """``data`` and ``layout`` as plain dictionaries and lists."""


class Sketch:
    """The traces of a figure and its layout, in Plotly's words; made by the functions of ``pyraft_lab.viz``."""

    def __init__(self) -> None:
        self.data: list[Json] = []
        self.layout: Json = {"shapes": [], "annotations": []}

    @property
    def story(self) -> str:
        """The content of the picture as text."""
        return words_of(self)

    @property
    def height(self) -> int:
        """The height in pixels."""
        return int(self.layout["height"])

    @property
    def margin(self) -> Mapping[str, int]:
        """The space around the plot in pixels: ``l r t b``."""
        margin: Mapping[str, int] = self.layout["margin"]
        return margin

    def to_plotly_json(self) -> Json:
        """Plotly's plain form: ``data`` and ``layout``."""
        return {"data": self.data, "layout": self.layout}

    def to_svg(self, width: int = WIDTH) -> str:
        """A static picture: SVG that needs neither a browser nor a network; ``width`` in pixels."""
        return svg(self.to_plotly_json(), width)

    def _repr_html_(self) -> str:
        return twin(self)

    def __repr__(self) -> str:
        return f"<sketch: {self.story}>"

    def add_bar(self, **trace: Any) -> None:
        """Add bars, in Plotly's words."""
        self.data.append({"type": "bar", **trace})

    def add_scatter(self, **trace: Any) -> None:
        """Add lines, marks or text, in Plotly's words."""
        self.data.append({"type": "scatter", **trace})

    def add_heatmap(self, **trace: Any) -> None:
        """Add a map, in Plotly's words."""
        self.data.append({"type": "heatmap", **trace})

    def add_shape(self, **shape: Any) -> None:
        """Add a line or a rectangle."""
        self.layout["shapes"].append(shape)

    def add_annotation(self, note: Json) -> None:
        """Add a text at a place."""
        self.layout["annotations"].append(note)

    def add_horizontal(self, y: float, **look: Any) -> None:
        """Add a horizontal line across the plot."""
        self.add_shape(type="line", xref="x domain", x0=0, x1=1, y0=y, y1=y, **look)

    def add_vertical(self, x: float, **look: Any) -> None:
        """Add a vertical line across the plot."""
        self.add_shape(type="line", yref="y domain", y0=0, y1=1, x0=x, x1=x, **look)

    def update_layout(self, **layout: Any) -> None:
        """Change parts of the layout; what is not named stays."""
        _merge(self.layout, layout)

    def update_x_axis(self, **axis: Any) -> None:
        """Change parts of the x axis."""
        self.update_layout(xaxis=axis)

    def update_y_axis(self, **axis: Any) -> None:
        """Change parts of the y axis."""
        self.update_layout(yaxis=axis)


def _merge(old: Json, new: Mapping[str, Any]) -> None:
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            _merge(old[name], value)
        else:
            old[name] = value


def words_of(figure: Drawable) -> str:
    """Title, finding and description of a figure, as sentences."""
    layout = figure.to_plotly_json()["layout"]
    title = layout.get("title", {})
    parts = [title.get("text"), title.get("subtitle", {}).get("text"), (layout.get("meta") or {}).get("words")]
    return ". ".join(TAG.sub(" ", str(part)).strip(". ") for part in parts if part)


def twin(figure: Drawable) -> str:
    """The static picture of a figure as HTML."""
    return image(svg(figure.to_plotly_json(), WIDTH), words_of(figure))


def image(picture: str, words: str) -> str:
    """A picture as HTML that untrusted notebooks also show, with its text for screen readers."""
    data = b64encode(picture.encode()).decode()
    return f'<img alt="{escape(words)}" src="data:image/svg+xml;base64,{data}" style="max-width:100%">'
