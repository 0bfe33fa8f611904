"""``pyraft-lab grade``: marks a folder of executed notebooks from the answers in them, never from printed scores."""

import argparse
import atexit
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from msgspec.structs import asdict, fields
from rich.console import Console
from rich.table import Table

from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises.notebooks import BadNotebook, Handed, MarkLine, answers_in, learners, lines_of
from pyraft_lab.extras import needed
from pyraft_lab.loop_thread import LoopThread
from pyraft_lab.terminal import options
from pyraft_lab.terminal.marks_page import total_of, write_marks_page
from pyraft_lab.terminal.simulate import in_one_line, progress_line

if TYPE_CHECKING:
    from nbclient import NotebookClient

EXAMPLES = """pyraft-lab grade handed-in                        DIR/ann.ipynb or DIR/ann/*.ipynb for each learner
pyraft-lab grade handed-in --csv marks.csv        a line for every learner and exercise
pyraft-lab grade handed-in --pages marks          a page for every learner, in this folder
pyraft-lab grade handed-in --run                  run the notebooks first, in copies (they are the learners' code)

exit code: 0 if every notebook was read, 1 if some could not be, 2 if nothing could be graded"""
COLUMNS = tuple(field.name for field in fields(MarkLine) if field.name != "feedback")
Say = Callable[[str], None]


def main(arguments: Sequence[str]) -> int:
    """Grade a folder; 0 if every notebook was read."""
    chosen = build_parser().parse_args(arguments)
    return in_one_line(lambda console: _grade(chosen, console))


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = options.parser("grade", "Mark the answers in a folder of executed notebooks.", EXAMPLES)
    parser.add_argument("folder", type=options.directory, metavar="DIR", help="the folder with the notebooks")
    parser.add_argument("--csv", type=options.new_file(".csv"), metavar="FILE", help="write all marks into this file")
    parser.add_argument("--again", action="store_true", help="write over the marks of an earlier time")
    parser.add_argument("--pages", type=options.directory, metavar="FOLDER", help="write a page for every learner")
    parser.add_argument(
        "--run", action="store_true", help="run copies of the notebooks first (the learners' code runs as you)"
    )
    return parser


def _grade(chosen: argparse.Namespace, console: Console) -> int:
    if chosen.csv is not None and chosen.csv.exists() and not chosen.again:
        raise PyraftError(f"{chosen.csv} exists; name another file, or write over it with --again")
    found = learners(chosen.folder)
    if not found:
        raise PyraftError(f"{chosen.folder} has no notebooks (*.ipynb); give the folder in which they were collected")
    with progress_line(console, "reading ...") as say:
        marks = {name: _of_learner(name, paths, say, run=chosen.run) for name, paths in found.items()}
    console.print(_table(marks))
    problems = [problem for _, told in marks.values() for problem in told]
    for problem in problems:
        console.print(problem, markup=False, highlight=False, soft_wrap=True)
    if chosen.csv is not None:
        _write_csv(chosen.csv, [line for lines, _ in marks.values() for line in lines])
    if chosen.pages is not None:
        chosen.pages.mkdir(parents=True, exist_ok=True)
        for name, (lines, told) in marks.items():
            write_marks_page(name, lines, told, chosen.pages / f"{name}.html")
    return options.FAILED if problems else options.OVER


def _of_learner(name: str, paths: Sequence[Path], say: Say, *, run: bool) -> tuple[list[MarkLine], list[str]]:
    """The lines of one learner, and the notebooks that could not be read."""
    handed: dict[str, tuple[Path, Handed]] = {}
    problems: list[str] = []
    for path in paths:
        say(f"{name}: reading {path.name}")
        try:
            handed |= {one.exercise: (path, one) for one in (_run_again(path) if run else answers_in(path))}
        except BadNotebook as bad:
            problems.append(str(bad))
    say(f"{name}: {len(handed)} answers")
    return list(_told(lines_of(name, handed), say)), problems


def _told(lines: Iterator[MarkLine], say: Say) -> Iterator[MarkLine]:
    for line in lines:
        if line.notebook:
            say(f"{line.learner}: {line.exercise}")
        yield line


def _run_again(path: Path) -> tuple[Handed, ...]:
    """The answers of a copy of a notebook that has just run; cells that fail are passed over."""
    with needed("nbclient"):
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellTimeoutError
    answers_in(path)  # a file that is no notebook is not run
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        try:
            notebook = nbformat.read(path, as_version=4)
            client = NotebookClient(notebook, timeout=120, allow_errors=True, resources={"metadata": {"path": folder}})
            _execute(client)
        except (CellTimeoutError, RuntimeError, ValueError) as failed:
            raise BadNotebook(path, f"it did not run to its end: {str(failed).strip().splitlines()[0]}") from failed
        nbformat.write(notebook, copy)
        return answers_in(copy)


def _execute(client: "NotebookClient") -> None:
    """Run a notebook beside the main thread, where nbclient leaves Ctrl-C to this command."""
    try:
        with LoopThread("a notebook") as thread:
            thread.home.wait(client.async_execute(stdout=DEVNULL, stderr=DEVNULL))
    finally:
        if client.km is None:  # its kernel has ended, and need not be ended at the exit
            atexit.unregister(client._cleanup_kernel)  # noqa: SLF001 (interrupted at its start, it leaves that to do)


def _table(marks: Mapping[str, tuple[list[MarkLine], list[str]]]) -> Table:
    table = Table(box=None)
    for column in ("learner", "points", "exercises"):
        table.add_column(column)
    for name, (lines, _) in marks.items():
        table.add_row(name, total_of(lines), str(sum(bool(line.notebook) for line in lines)))
    return table


def _write_csv(path: Path, lines: Sequence[MarkLine]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for line in lines:
            row = asdict(line)
            writer.writerow([_safe(row[name]) for name in COLUMNS])


def _safe(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: names of files are a learner's to choose."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@"} else value
