"""Chapters and notebooks are one text, kept twice, and what is committed of them is small."""

import shutil
from pathlib import Path

import jupytext
import nbformat
import pytest

from pyraft_lab.lab.notebook import normalise, notebook_of

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "chapters").glob("[0-9]*.md"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST = 1_000_000  # bytes; live figures would bring five million each

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


@each_chapter
def test_a_chapter_and_its_notebook_hold_the_same_cells(chapter: Path) -> None:
    assert cells(chapter) == cells(notebook_of(chapter)), "run `make notebooks`"


@each_notebook
def test_a_notebook_is_normalised_small_and_without_widget_state(notebook: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(notebook, tmp_path))
    assert not normalise(copy), "run `make notebooks`"
    assert notebook.stat().st_size < LARGEST
    assert "widgets" not in nbformat.read(notebook, as_version=4).metadata


@each_notebook
def test_a_notebook_was_run_from_the_top(notebook: Path) -> None:
    counts = [cell.execution_count for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


def cells(path: Path) -> list[tuple[str, str, list[str]]]:
    return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in jupytext.read(path).cells]
