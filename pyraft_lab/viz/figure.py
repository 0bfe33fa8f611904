"""Functions that draw: ``viz.roles(sim)`` gives ``viz.roles.sketch(sim)`` to Plotly."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, Protocol, cast

from pyraft_lab.extras import needed
from pyraft_lab.viz.sketch import Sketch

if TYPE_CHECKING:
    from pyraft_lab.viz.drawing import Drawing

P = ParamSpec("P")


class DrawFunction(Protocol[P]):
    """A function of ``pyraft_lab.viz``: it returns a Plotly figure; ``sketch`` is the same without Plotly."""

    __name__: str
    sketch: Callable[P, Sketch]

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> "Drawing":
        """Draw a Plotly figure."""


def figure_of(sketch: Sketch) -> "Drawing":
    """A sketch as a Plotly figure."""
    with needed("plotly"):
        from pyraft_lab.viz.drawing import Drawing

    return Drawing(sketch.to_plotly_json())


def draws(sketch: Callable[P, Sketch]) -> DrawFunction[P]:
    """Make a function that returns a sketch return a Plotly figure, and keep it as ``sketch``."""

    @wraps(sketch)
    def draw(*arguments: P.args, **options: P.kwargs) -> "Drawing":
        return figure_of(sketch(*arguments, **options))

    draw.__annotations__ = {**sketch.__annotations__, "return": "Drawing"}
    draw.sketch = sketch  # type: ignore[attr-defined]
    return cast("DrawFunction[P]", draw)
