"""A Plotly figure with two alternatives: a static picture for pages without scripts, and a text for screen readers."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from pyraft_lab.viz.palette import on_any_background
from pyraft_lab.viz.sketch import WIDTH, twin, words_of
from pyraft_lab.viz.svg import svg

FIGURE = "application/vnd.plotly.v1+json"


class Drawing(go.Figure):  # type: ignore[misc]
    """A Plotly figure that GitHub, nbconvert and untrusted notebooks also show, as an image with a text."""

    @property
    def story(self) -> str:
        """The content of the picture as text."""
        return words_of(self)

    def to_svg(self, width: int = WIDTH) -> str:
        """The figure as a static picture: SVG that needs neither a browser nor a network; ``width`` in pixels."""
        return svg(self.to_plotly_json(), width)

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Plotly's own output, for light and dark pages; and the static picture."""
        if is_plain_kernel():
            found: dict[str, Any] = {FIGURE: json.loads(self.to_json())}
        else:
            found = super()._repr_mimebundle_(*arguments, **options)
        if FIGURE in found:
            on_any_background(found[FIGURE])
        return {"text/html": twin(self), "text/plain": f"<figure: {self.story}>", **found}

    _ipython_display_ = None  # Plotly's own shows what its renderer knows, and nothing else


def is_plain_kernel() -> bool:
    """Whether the plain output is right: in a Jupyter kernel, or JupyterLite's, if the user chose no renderer.

    Plotly's own decision takes seconds the first time, because its renderers import nbformat and all that it needs. In
    JupyterLite it would also write the whole of plotly.js into the notebook, which JupyterLab there has already.
    """
    if has_own_renderer() or any(name in os.environ for name in OTHER_HOSTS) or Path("/kaggle/input").exists():
        return False
    shell = type(sys.modules["IPython"].get_ipython()) if "IPython" in sys.modules else object
    return (shell.__module__.partition(".")[0], shell.__name__) in KERNELS


def has_own_renderer() -> bool:
    """Whether the user chose another renderer than the one that Plotly chose; live figures load its renderers, too."""
    loaded = sys.modules.get(RENDERERS)
    return loaded is not None and loaded.renderers.default != loaded.default_renderer


RENDERERS = "plotly.io._renderers"
KERNELS = {("ipykernel", "ZMQInteractiveShell"), ("pyodide_kernel", "Interpreter")}
"""The package and class of shells whose notebooks draw Plotly's plain output."""
OTHER_HOSTS = (
    "PLOTLY_RENDERER", "COLAB_NOTEBOOK_ID", "AZURE_NOTEBOOKS_HOST", "VSCODE_PID", "NTERACT_EXE", "COCALC_PROJECT_ID",
    "DATABRICKS_RUNTIME_VERSION",
)  # fmt: skip
"""Variables of the environment by which Plotly recognises places that need another output."""


def on_page(figure: go.Figure) -> go.Figure:
    """The figure for light and dark pages; figures of others keep their own colours."""
    return go.Figure(on_any_background(figure.to_plotly_json())) if isinstance(figure, Drawing) else figure
