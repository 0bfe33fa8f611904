"""``pyraft-lab blank``: the guide's chapters as notebooks to hand out, without outputs and without answers."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pyraft_lab.errors import PyraftError
from pyraft_lab.extras import needed
from pyraft_lab.lab.launch import guide
from pyraft_lab.terminal import options
from pyraft_lab.terminal.simulate import in_one_line

EXAMPLES = """pyraft-lab blank handouts                    every chapter as a notebook
pyraft-lab blank handouts --chapters 1,2,4   only these
pyraft-lab blank handouts --again            write over notebooks that are there"""
ANSWER = "answer"
"""The tag of a cell whose code is a learner's own: it is emptied."""
EMPTY = "# your answer"


def main(arguments: Sequence[str]) -> int:
    """Write blank notebooks; 0 if all were written."""
    chosen = build_parser().parse_args(arguments)
    return in_one_line(lambda console: _blank(chosen, console))


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = options.parser("blank", "The guide's chapters as notebooks without outputs and answers.", EXAMPLES)
    parser.add_argument("folder", type=options.directory, metavar="DIR", help="where to write the notebooks")
    parser.add_argument("--chapters", type=_numbers, metavar="1,2", help="numbers of chapters (default: all)")
    parser.add_argument("--again", action="store_true", help="write over notebooks that are there")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and part.isascii() for part in parts):
        raise options.Refused(f"{text[:40]!r} is no list of chapters, such as 1,2,4")
    return tuple(map(int, parts))


def _blank(chosen: argparse.Namespace, console: Console) -> int:
    chapters = chapters_of(guide(), chosen.chapters)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    targets = {chapter: chosen.folder / f"{chapter.stem}.ipynb" for chapter in chapters}
    there = [target.name for target in targets.values() if target.exists()]
    if there and not chosen.again:
        raise PyraftError(f"{chosen.folder} has {', '.join(there)} already; pass --again to write over")
    for chapter, target in targets.items():
        write_blank(chapter, target)
    console.print(f"{len(targets)} notebooks in {chosen.folder}", markup=False, highlight=False)
    return options.OVER


def chapters_of(root: Path, numbers: Sequence[int] | None) -> list[Path]:
    """The chapters of a guide, all or by number; raises ``PyraftError`` for a number that there is not."""
    found = {int(path.stem[:2]): path for path in sorted((root / "chapters").glob("[0-9][0-9]-*.md"))}
    missing = sorted(set(numbers or ()) - set(found))
    if missing:
        raise PyraftError(f"there is no chapter {missing[0]}; chapters are {', '.join(map(str, found))}")
    return [path for number, path in found.items() if numbers is None or number in numbers]


def write_blank(chapter: Path, target: Path) -> None:
    """Write a chapter as a notebook: no outputs, and cells tagged ``answer`` emptied."""
    with needed("jupytext"):
        import jupytext
    notebook = jupytext.read(chapter)
    for cell in notebook.cells:
        _empty(cell)
    jupytext.write(notebook, target)


def _empty(cell: Any) -> None:
    if cell.cell_type != "code":
        return
    cell.outputs, cell.execution_count = [], None
    if ANSWER in cell.metadata.get("tags", []):
        cell.source = EMPTY
