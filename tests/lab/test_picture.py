"""The picture in README is made by the project, and is the one that it makes today."""

from pathlib import Path

from pyraft_lab.lab.picture import main

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "chapters" / "images" / "lab.svg"


def test_the_picture_in_readme_is_what_the_lab_draws_today(tmp_path: Path) -> None:
    made = tmp_path / "images" / "lab.svg"
    assert main([str(made)]) == 0
    assert made.read_text(encoding="utf-8") == KEPT.read_text(encoding="utf-8"), "run `make notebooks`"
    assert KEPT.stat().st_size < 40_000
    assert "chapters/images/lab.svg" in (ROOT / "README.md").read_text(encoding="utf-8")
