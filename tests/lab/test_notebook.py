"""Executing a chapter, and making the result small and the same on every machine."""

from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from pyraft_lab.lab.notebook import main, normalise, notebook_of
from pyraft_lab.lab.saving import WIDGET_VIEW, keep_stills

CHAPTER = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Two and two

```{code-cell} ipython3
:tags: [arithmetic]
2 + 2
```
"""

KERNEL = {"name": "python3", "display_name": "Python 3"}


def chapter_with(folder: Path, text: str) -> Path:
    for name in ("chapters", "notebooks"):
        (folder / name).mkdir()
    chapter = folder / "chapters" / "01-two.md"
    chapter.write_text(text)
    return chapter


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_chapter_is_executed_into_its_notebook(tmp_path: Path) -> None:
    chapter = chapter_with(tmp_path, CHAPTER)
    assert main([str(chapter)]) == 0
    heading, sum_of_two = nbformat.read(notebook_of(chapter), as_version=4).cells
    assert heading.source == "# Two and two"
    assert sum_of_two.outputs[0].data == {"text/plain": "4"}
    assert sum_of_two.metadata == {"tags": ["arithmetic"]}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_cell_that_fails_writes_nothing(tmp_path: Path) -> None:
    chapter = chapter_with(tmp_path, CHAPTER.replace("2 + 2", "2 / 0"))
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        main([str(chapter)])
    assert not notebook_of(chapter).exists()


def test_normalising_drops_widgets_timings_and_random_ids(tmp_path: Path) -> None:
    path = tmp_path / "notebook.ipynb"
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {"state": "x" * 100_000}, "kernelspec": KERNEL})
    shown = nbformat.v4.new_output("display_data", {WIDGET_VIEW: {"model_id": "1f"}, "text/plain": "Figure"})
    notebook.cells = [nbformat.v4.new_code_cell("figure", outputs=[shown], metadata={"execution": {"started": "now"}})]
    nbformat.write(notebook, path)
    assert normalise(path)
    assert not normalise(path)  # a second time there is nothing left to do
    clean = nbformat.read(path, as_version=4)
    assert clean.metadata == {"kernelspec": KERNEL}
    assert clean.cells[0].id == "cell-000"
    assert clean.cells[0].metadata == {}
    assert clean.cells[0].outputs[0].data == {"text/plain": "Figure"}


def test_a_saved_notebook_keeps_still_pictures_instead_of_widgets() -> None:
    both = nbformat.v4.new_output("display_data", {WIDGET_VIEW: {"model_id": "1f"}, "text/html": "<img>"})
    alone = nbformat.v4.new_output("display_data", {WIDGET_VIEW: {"model_id": "2e"}})
    cells = [nbformat.v4.new_markdown_cell("# Lab"), nbformat.v4.new_code_cell("Lab()", outputs=[both, alone])]
    model = {"type": "notebook", "content": nbformat.v4.new_notebook(cells=cells)}
    keep_stills(model, path="a.ipynb", contents_manager=None)
    assert [set(output["data"]) for output in model["content"]["cells"][1]["outputs"]] == [{"text/html"}, {WIDGET_VIEW}]
    keep_stills({"type": "file", "content": "a text"}, path="a.md")
