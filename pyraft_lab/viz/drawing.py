"""A figure with its twins: a still picture for where no script runs, and words for whoever does not see it."""

from base64 import b64encode
from html import escape
from typing import Any

import plotly.graph_objects as go

from pyraft_lab.viz.palette import on_any_background
from pyraft_lab.viz.svg import svg
from pyraft_lab.viz.svg_marks import TAG

FIGURE = "application/vnd.plotly.v1+json"

TWIN = 860
"""How wide a still picture is, in pixels."""


class Drawing(go.Figure):  # type: ignore[misc]
    """A Plotly figure that GitHub, nbconvert and untrusted notebooks show, too: as an image with its words."""

    @property
    def story(self) -> str:
        """What the picture says, in words."""
        return words_of(self)

    def to_svg(self, width: int = TWIN) -> str:
        """The figure as a still picture: SVG that needs neither a browser nor a network."""
        return svg(self, width)

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """What Plotly would show, fit for a light page and for a dark one; and beside it the still picture."""
        found: dict[str, Any] = super()._repr_mimebundle_(*arguments, **options)
        if FIGURE in found:
            on_any_background(found[FIGURE])
        return {"text/html": twin(self), "text/plain": f"<figure: {self.story}>", **found}

    _ipython_display_ = None  # Plotly's own shows what its renderer knows, and nothing else


def on_page(figure: go.Figure) -> go.Figure:
    """The figure as a page shows it, light or dark; what was not drawn here keeps its own colours."""
    return go.Figure(on_any_background(figure.to_plotly_json())) if isinstance(figure, Drawing) else figure


def twin(figure: go.Figure) -> str:
    """The still picture of a figure as HTML."""
    return image(svg(figure, TWIN), words_of(figure))


def words_of(figure: go.Figure) -> str:
    """Title, finding and words of a figure, as sentences."""
    title = figure.layout.title
    more = (figure.layout.meta or {}).get("words", "")
    parts = [title.text, title.subtitle.text, more]
    return ". ".join(TAG.sub(" ", str(part)).strip(". ") for part in parts if part)


def image(picture: str, words: str) -> str:
    """A picture as HTML that even untrusted notebooks show, with its words for those who do not see it."""
    data = b64encode(picture.encode()).decode()
    return f'<img alt="{escape(words)}" src="data:image/svg+xml;base64,{data}" style="max-width:100%">'
