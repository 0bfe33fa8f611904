"""Optional packages: if one is missing, the error names the extra that installs it.

>>> with needed("pandas"):
...     import pandas as pd
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

from pyraft_lab.errors import MissingExtra

EXTRAS: Mapping[str, str] = {
    "numpy": "data",
    "pandas": "data",
    "pyarrow": "data",
    "yaml": "plans",
    "aiomqtt": "mqtt",
    "amqtt": "mqtt",
    "websockets": "mqtt",
    "segno": "mqtt",
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
"""The smallest extra that installs each package."""


@contextmanager
def needed(*packages: str) -> Iterator[None]:
    """Guard the import of optional ``packages``: ``MissingExtra`` if one of them is not installed."""
    try:
        yield
    except ModuleNotFoundError as missing:
        name = (missing.name or "").partition(".")[0]
        if name not in EXTRAS:
            raise
        raise MissingExtra(name, extra_of(name, *packages)) from missing


def require(*packages: str) -> None:
    """Import ``packages`` now, before work that needs them; ``MissingExtra`` if one is not installed."""
    with needed(*packages):
        for package in packages:
            import_module(package)


def extra_of(*packages: str) -> str:
    """The extras that install all of these packages.

    >>> extra_of("pandas"), extra_of("pandas", "plotly"), extra_of("yaml", "aiomqtt")
    ('data', 'lab', 'plans,mqtt')
    """
    extras = list(dict.fromkeys(EXTRAS[package] for package in packages if package in EXTRAS))
    return ",".join(extra for extra in extras if extra not in {"data", "plans"} or "lab" not in extras)
