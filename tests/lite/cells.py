"""Run the cells of chapters, here and in a browser: this file is run in both, and needs nothing but Python."""

import ast
import asyncio
import io
import linecache
import re
from contextlib import redirect_stdout
from typing import Any

PLACE = re.compile(r" at 0x[0-9a-f]+")
TIMEOUT = 120.0


async def run_cells(cells: list[str]) -> list[list[str]]:
    """For each cell ``["ok", what it says]`` or ``["error", the error]``; one that fails does not end the chapter."""
    names: dict[str, Any] = {"__name__": "__main__"}
    return [await run_cell(cell, names) for cell in cells]


async def run_cell(cell: str, names: dict[str, Any]) -> list[str]:
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            value = await asyncio.wait_for(value_of(cell, names), TIMEOUT)
    except BaseException as error:  # noqa: BLE001 (every error of a cell is a result)
        return ["error", f"{type(error).__name__}: {error}"]
    return ["ok", PLACE.sub("", said.getvalue() + ("" if value is None else repr(value)))]


async def value_of(cell: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line, if that is an expression."""
    body, file = ast.parse(cell).body, f"<cell {hash(cell)}>"
    linecache.cache[file] = (len(cell), None, cell.splitlines(keepends=True), file)  # as a notebook keeps it
    match body:
        case [*before, ast.Expr(last)] if not cell.rstrip().endswith(";"):
            await evaluated(ast.Module(before, []), "exec", file, names)
            return await evaluated(ast.Expression(last), "eval", file, names)
        case _:
            return await evaluated(ast.Module(body, []), "exec", file, names)


async def evaluated(code: ast.Module | ast.Expression, mode: str, file: str, names: dict[str, Any]) -> Any:
    value = eval(compile(code, file, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    return await value if asyncio.iscoroutine(value) else value
