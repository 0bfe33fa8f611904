"""The site builds without a warning, and what it built asks no other machine for anything."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
REQUESTED = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHAPTERS = sorted(path.stem for path in (ROOT / "chapters").glob("[0-9]*.md"))
LARGEST = 300_000
"""Bytes of a page of the reference: what a phone can show."""
LAB = "<Lab: "
FIGURE = "application/vnd.plotly.v1+json"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a broken link or an unknown page is an error."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    build = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stderr
    return target


def test_every_chapter_and_every_room_has_its_page(site: Path) -> None:
    chapters = set(CHAPTERS)
    rooms = {path.parent.name for path in (ROOT / "pyraft_lab").glob("[a-z]*/__init__.py")}
    assert {name for name in chapters if not (site / name / "index.html").is_file()} == set()
    assert {name for name in rooms if not (site / "reference" / f"pyraft_lab.{name}" / "index.html").is_file()} == set()


def test_the_navigation_leads_to_every_chapter_and_page(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    pages = {"TEACHING", "WHERE_IT_RUNS", "ARCHITECTURE", "measurements", "mutants", "behaviours"}
    assert {name for name in pages if f'href="{name}/"' not in home} == set()
    guide = (site / CHAPTERS[0] / "index.html").read_text(encoding="utf-8")
    assert {name for name in CHAPTERS[1:] if f'href="../{name}/"' not in guide} == set()


def test_every_chapter_says_where_to_run_it(site: Path) -> None:
    lite = (site / "lite" / "lab" / "index.html").is_file()
    for name in CHAPTERS:
        page = (site / name / "index.html").read_text(encoding="utf-8")
        assert page.count(f"urlpath=lab/tree/chapters/{name}.md") == 1
        assert (f"../lite/lab/index.html?path={name}.ipynb" in page) is lite


def test_the_home_page_plays_a_lab(site: Path) -> None:
    page = (site / "index.html").read_text(encoding="utf-8")
    assert page.count("await lab.play(place") == 1
    assert 'src="chapters/images/lab.svg"' in page, "the picture for whoever runs no scripts"
    lite = (site / "lite" / "lab" / "index.html").is_file()
    assert ('id="live-start"' in page, (site / "assets" / "live-worker.js").is_file()) == (lite, lite)


def test_the_reference_is_small_pages_of_public_names(site: Path) -> None:
    pages = sorted((site / "reference").glob("*/index.html"))
    assert {page.parent.name: size for page in pages if (size := page.stat().st_size) > LARGEST} == {}
    private = re.compile(r'id="pyraft_lab[\w.]*\._[a-z]\w*"')
    assert {name for page in pages for name in private.findall(page.read_text(encoding="utf-8"))} == set()


def test_every_figure_of_a_notebook_is_drawn_on_its_page(site: Path) -> None:
    for notebook in NOTEBOOKS:
        figures = [output for output in outputs(notebook) if FIGURE in output]
        page = (site / notebook.stem / "index.html").read_text(encoding="utf-8")
        assert page.count("Plotly.newPlot") == len(figures)
        assert page.count("<noscript><img alt=") == len(figures), "a still picture for whoever runs no scripts"
    assert (site / "assets" / "plotly.min.js").is_file()


def test_every_lab_of_a_notebook_plays_on_its_page(site: Path) -> None:
    labs = {
        notebook.stem: sum(LAB in "".join(output.get("text/plain", "")) for output in outputs(notebook))
        for notebook in NOTEBOOKS
    }
    assert sum(labs.values()) >= 3
    for name, count in labs.items():
        page = (site / name / "index.html").read_text(encoding="utf-8")
        assert page.count("await lab.play(place") == count


def test_links_between_chapters_lead_to_pages(site: Path) -> None:
    page = (site / "00-start-here" / "index.html").read_text(encoding="utf-8")
    links = set(re.findall(r'href="\.\./(\d\d-[\w-]+)/"', page))
    assert {path.stem for path in NOTEBOOKS} - {"00-start-here"} <= links


def test_no_page_requests_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    requests = {(page.name, url) for page in pages for url in REQUESTED.findall(page.read_text(encoding="utf-8"))}
    assert pages
    assert requests == set()


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://cdn.example/x.js"></script>',
        "<link rel=stylesheet href=//fonts.example/css>",
        "<img alt='a badge' src='http://example/badge.svg'>",
    ],
)
def test_a_request_to_elsewhere_would_be_seen(tag: str) -> None:
    assert REQUESTED.findall(tag)


def outputs(notebook: Path) -> list[dict[str, Any]]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [output.get("data", {}) for cell in cells for output in cell.get("outputs", ())]
