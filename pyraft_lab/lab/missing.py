"""A notebook without an optional package, or in a tab without processes: cells that need it say so, and others run.

A browser without the web cannot fetch pandas, and none has processes. *Run All Cells* would end at the first cell that
needs them, and hide everything that does not. Cells that use what such a cell would have made are left out, too.
"""

import ast
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from pyraft_lab.errors import NoProcesses

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


def go_on(*missing: str) -> None:
    """From now on a cell of this notebook that needs one of these is left out with a sentence.

    They are packages, or what a browser tab lacks: ``"processes"``, ``"sockets"``.
    """
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if shell is None:
        return
    if shell not in _handlers:
        _handlers[shell] = LeftOut(shell)
        shell.set_custom_exc((Exception,), _handlers[shell])
    _handlers[shell].missing |= set(missing)
    print(f"{', '.join(missing)}: not here, so cells that need them say so, and all others run.")  # noqa: T201


class LeftOut:
    """Handles the errors of cells: what is lacking explains some, which become a sentence; all others stay errors."""

    def __init__(self, shell: Any) -> None:
        self.missing: set[str] = set()
        self._space: Mapping[str, Any] = shell.user_ns
        self._left_out: dict[str, tuple[str, Any]] = {}

    def __call__(
        self, shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: Any = None
    ) -> None:
        """Say that the cell is left out, or show its error."""
        cell = shell.history_manager.input_hist_raw[-1]
        what, name = self._lacks(error), ""
        if not what:
            what, name = self._made_with(error, cell)
        if not what:
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
            return
        not_imported = [one for one in _imported(cell) if one not in self._space]
        self._left_out |= {one: (what, self._space.get(one)) for one in [*names_in(cell, ast.Store), *not_imported]}
        print(SAID.format(what=f"{name}, which is made with {what}" if name else what))  # noqa: T201

    def _lacks(self, error: BaseException) -> str:
        """What is lacking that explains this error; empty for other errors."""
        for one in causes(error):
            match one:
                case NoProcesses():
                    found = "processes"
                case NotImplementedError() if "socket" in str(one):  # so says the loop of a browser
                    found = "sockets"
                case ModuleNotFoundError(name=str(module)):
                    found = module.partition(".")[0]
                case _:
                    continue
            if found in self.missing:
                return found
        return ""

    def _made_with(self, error: BaseException, cell: str) -> tuple[str, str]:
        """What a name of this cell should have been made with, and the name; empty if all its names were made."""
        used = [error.name or ""] if isinstance(error, NameError) else names_in(cell, ast.Load)
        for name in used:
            what, value = self._left_out.get(name, ("", None))
            if what and self._space.get(name) is value:  # no later cell has made it
                return what, name
        return "", ""


_handlers: WeakKeyDictionary[Any, LeftOut] = WeakKeyDictionary()


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what caused it."""
    while error is not None:
        yield error
        error = error.__cause__


def names_in(cell: str, use: type[ast.expr_context]) -> Iterator[str]:
    """The names that a cell assigns or defines (``Store``), or uses (``Load``)."""
    for node in nodes_of(cell):
        match node:
            case ast.Name(name, context) if isinstance(context, use):
                yield name
            case ast.FunctionDef(name) | ast.ClassDef(name) | ast.AsyncFunctionDef(name) if use is ast.Store:
                yield name
            case _:
                pass


def _imported(cell: str) -> Iterator[str]:
    """The names that a cell imports."""
    return ((one.asname or one.name).partition(".")[0] for one in nodes_of(cell) if isinstance(one, ast.alias))


def nodes_of(cell: str) -> Iterator[ast.AST]:
    """The parts of a cell; none if it is not Python alone."""
    try:
        return ast.walk(ast.parse(cell))
    except SyntaxError:
        return iter(())
