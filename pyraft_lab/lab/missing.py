"""A notebook without an optional package: a cell that needs it says so, and the cells after it still run.

A browser without the web cannot fetch pandas. *Run All Cells* would end at the first frame, and hide everything that
needs none. Cells that use what such a cell would have made are left out too, and say why.
"""

import ast
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any

SAID = "Left out: this cell needs {what}. The cells after it still run."


async def fetch(*packages: str) -> None:
    """Fetch packages into a browser's Python; if one cannot be had, cells of this notebook that need it are left out.

    Elsewhere it fetches nothing. It imports no package by name: Pyodide would look for it before the cell runs, and end
    the cell with an error of its own.
    """
    with suppress(Exception):  # no browser, or no web: the import says so
        await import_module("pyodide_js").loadPackage(import_module("pyodide.ffi").to_js(list(packages)))
    lacking = [one for one in packages if not _can_import(one)]
    if lacking:
        go_on(*lacking)


def _can_import(package: str) -> bool:
    """Whether a package can be imported."""
    try:
        import_module(package)
    except ImportError:
        return False
    return True


def go_on(*packages: str) -> None:
    """From now on a cell of this notebook that needs one of the missing ``packages`` is left out with a sentence."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if shell is None:
        return
    shell.set_custom_exc((ImportError, NameError), LeftOut(packages))
    print(f"{', '.join(packages)} cannot be fetched: cells that need it say so, and all others run.")  # noqa: T201


class LeftOut:
    """Handles the errors of cells: what a missing package explains becomes a sentence, all others stay errors."""

    def __init__(self, packages: tuple[str, ...]) -> None:
        self._packages = packages
        self._names: dict[str, str] = {}

    def __call__(
        self, shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: Any = None
    ) -> None:
        """Say that the cell is left out, or show its error."""
        package = self._missing(error)
        if not package:
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
            return
        self._names |= dict.fromkeys(assigned(shell.history_manager.input_hist_raw[-1]), package)
        what = f"{error.name}, which is made with {package}" if isinstance(error, NameError) else package
        print(SAID.format(what=what))  # noqa: T201

    def _missing(self, error: BaseException) -> str:
        """The missing package that explains this error; empty for other errors."""
        if isinstance(error, NameError):
            return self._names.get(error.name or "", "")
        missing = next((one for one in causes(error) if isinstance(one, ModuleNotFoundError)), None)
        package = "" if missing is None else str(missing.name).partition(".")[0]
        return package if package in self._packages else ""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what caused it."""
    while error is not None:
        yield error
        error = error.__cause__


def assigned(cell: str) -> Iterator[str]:
    """The names that a cell assigns or defines; none if it is not Python alone."""
    try:
        body = ast.parse(cell)
    except SyntaxError:
        return
    for node in ast.walk(body):
        match node:
            case ast.Name(name, ast.Store()) | ast.FunctionDef(name) | ast.ClassDef(name):
                yield name
            case _:
                pass
