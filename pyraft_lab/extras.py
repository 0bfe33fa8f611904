"""Packages that only some of this library needs: where one is missing, the error names what installs it.

>>> with needed("pandas"):
...     import pandas as pd
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

from pyraft_lab.errors import MissingExtra

EXTRAS: Mapping[str, str] = {
    "pandas": "data",
    "pyarrow": "data",
    "yaml": "plans",
    "aiomqtt": "mqtt",
    "amqtt": "mqtt",
    "opentelemetry": "otel",
    "distributed": "scale",
    "anywidget": "lab",
    "IPython": "lab",
    "ipykernel": "lab",
    "ipywidgets": "lab",
    "jupyterlab": "lab",
    "jupytext": "lab",
    "nbclient": "lab",
    "nbformat": "lab",
    "plotly": "lab",
    "traitlets": "lab",
}
"""The smallest extra that brings a package."""


@contextmanager
def needed(*packages: str) -> Iterator[None]:
    """Around the import of optional ``packages``: ``MissingExtra`` where one of them is not installed."""
    try:
        yield
    except ModuleNotFoundError as missing:
        name = (missing.name or "").partition(".")[0]
        if name not in EXTRAS:
            raise
        raise MissingExtra(name, extra_of(name, *packages)) from missing


def require(*packages: str) -> None:
    """Import ``packages`` now, before anything is done that will need them; ``MissingExtra`` where one is missing."""
    with needed(*packages):
        for package in packages:
            import_module(package)


def extra_of(*packages: str) -> str:
    """The extra that brings all of these packages.

    >>> extra_of("pandas"), extra_of("pandas", "plotly"), extra_of("yaml", "aiomqtt")
    ('data', 'lab', 'plans,mqtt')
    """
    extras = list(dict.fromkeys(EXTRAS[package] for package in packages if package in EXTRAS))
    return ",".join(extra for extra in extras if extra not in {"data", "plans"} or "lab" not in extras)
