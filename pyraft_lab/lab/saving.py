"""A server extension of JupyterLab: a saved notebook keeps the still picture of a widget, not the widget.

A widget lives in its kernel. A notebook that is opened the next day would show "Error displaying widget: model not
found" in its place, although each output also has a picture or a text of its own: these are what is saved.

``pyraft-lab lab`` loads it (``config/jupyter_server_config.json``), and so does Binder.
"""

from typing import Any

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "pyraft_lab.lab.saving"}]


def _load_jupyter_server_extension(app: Any) -> None:
    app.contents_manager.register_pre_save_hook(keep_stills)


def keep_stills(model: Any, **_more: Any) -> None:
    """Drop widget views from a notebook that is about to be saved, wherever an output has something else to show."""
    if model.get("type") != "notebook" or not isinstance(model.get("content"), dict):
        return
    for cell in model["content"].get("cells", ()):
        for output in cell.get("outputs", ()):
            drop_widget_view(output.get("data", {}))


def drop_widget_view(data: dict[str, Any]) -> None:
    """Drop the widget from the alternatives of one output if there is another.

    >>> data = {WIDGET_VIEW: {"model_id": "1f"}, "text/html": "<img>"}
    >>> drop_widget_view(data)
    >>> data
    {'text/html': '<img>'}
    """
    if len(data) > 1:
        data.pop(WIDGET_VIEW, None)
