"""Chapters become notebooks: executed, and small and the same on every machine."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyraft_lab.lab.saving import WIDGET_VIEW

NOTEBOOK_METADATA = frozenset({"kernelspec", "jupytext"})
CELL_METADATA = frozenset({"tags"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute each chapter that is named into its notebook."""
    for name in sys.argv[1:] if arguments is None else arguments:
        chapter = Path(name).resolve()
        execute(chapter, into=notebook_of(chapter))
        normalise(notebook_of(chapter))
    return 0


def notebook_of(chapter: Path) -> Path:
    """Where the notebook paired with `chapters/NN-title.md` lives."""
    return chapter.parents[1] / "notebooks" / f"{chapter.stem}.ipynb"


def execute(chapter: Path, *, into: Path) -> None:
    """Run every cell of a chapter and write it with its outputs; the first cell that fails is an error."""
    import jupytext  # the `lab` extra
    from nbclient import NotebookClient

    notebook = jupytext.read(chapter)
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(chapter.parent)}}).execute()
    jupytext.write(notebook, into)


def normalise(path: Path) -> bool:
    """Drop widget state, timings and random ids from a notebook file; say whether anything had to go.

    A single live Plotly figure stores five megabytes of its own source in the notebook it was run in.
    """
    import nbformat  # the `lab` extra

    before = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(before, as_version=4)
    notebook.metadata = nbformat.from_dict(committed_metadata(notebook.metadata, NOTEBOOK_METADATA))
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        cell.metadata = nbformat.from_dict(committed_metadata(cell.metadata, CELL_METADATA))
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(WIDGET_VIEW, None)
    after = nbformat.writes(notebook) + "\n"
    path.write_text(after, encoding="utf-8")
    return bool(after != before)


def committed_metadata(metadata: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """The part of some metadata that is worth a commit."""
    return {name: value for name, value in metadata.items() if name in names}


if __name__ == "__main__":
    sys.exit(main())
