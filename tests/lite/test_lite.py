"""The JupyterLite site in a browser without a network: every cell that needs no pandas, and the Lab itself."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.lite import site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # service workers ask past the gate of a page
]
WITH_PROCESSES = {"08-a-cluster-over-mqtt", "11-five-processes"}
LIVE = {*WITH_PROCESSES, "09-your-own-storage"}
"""Chapters in real time, or with what a tab has not: only some of their cells can run there."""
SOON = 240_000
"""Milliseconds for anything to appear."""
RUN_HERE = """
import asyncio, json, sys
for name in ("pandas", "numpy", "pyarrow"):
    sys.modules[name] = None
from tests.lite.cells import run_cells
chapters = json.loads(sys.stdin.read())
print(json.dumps({name: asyncio.run(run_cells(cells)) for name, cells in chapters.items()}))
"""
PAGE = """<!doctype html><meta charset=utf-8><title>cells</title><script type=module>
import {loadPyodide} from './static/pyodide/pyodide.mjs';
const began = performance.now();
window.py = await loadPyodide({indexURL: './static/pyodide/', packages: ['pyraft-lab']});
window.story = await py.runPythonAsync(`
from pyraft_lab import Simulation
sim = Simulation(5, seed=7)
sim.run_until(lambda s: s.leader)
sim.trace.story()`);
window.seconds = (performance.now() - began) / 1000;
await py.loadPackage('plotly');
window.ready = true;
</script>"""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.timeout(1200),
]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    reason = site.why_not()
    if reason:
        pytest.skip(reason)
    page = site.SITE / "cells.html"
    page.write_text(PAGE, "utf-8")
    with site.served(site.SITE) as url:
        yield url
    page.unlink()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Visit:
    """A page, and what it asked of other machines: nothing leaves this one."""

    def __init__(self, browser: Any) -> None:
        self.page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        self.page.set_default_timeout(SOON)
        self.elsewhere: list[str] = []
        self.page.context.route("**/*", self._gate)

    def _gate(self, route: Any) -> None:
        if route.request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            route.continue_()
        else:
            self.elsewhere.append(route.request.url)
            route.abort()


@pytest.fixture(scope="module")
def cells_page(address: str, browser: Any) -> Visit:
    visit = Visit(browser)
    visit.page.goto(f"{address}/cells.html")
    visit.page.wait_for_function("window.ready")
    source = Path(__file__).with_name("cells.py").read_text("utf-8")
    visit.page.evaluate("source => py.FS.writeFile('cells.py', source)", source)
    return visit


def chapters() -> dict[str, list[str]]:
    """The code of each chapter, without the cells that the site adds."""
    found = {}
    for path in sorted((site.SITE / "files").glob("[0-9]*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        code = [c.source for c in cells if c.cell_type == "code" and "browser" not in c.metadata.get("tags", [])]
        ours = [cell for cell in code if not re.search(r"^\s*[%!]", cell, re.MULTILINE)]
        found[path.stem] = ours[:1] if path.stem in WITH_PROCESSES else ours
    return found


@pytest.fixture(scope="module")
def here(address: str) -> dict[str, list[list[str]]]:  # noqa: ARG001 (the site is there)
    """What the cells say in this Python, without pandas."""
    wanted = {name: cells for name, cells in chapters().items() if name not in WITH_PROCESSES}
    ended = subprocess.run(
        [sys.executable, "-c", RUN_HERE],
        input=json.dumps(wanted), cwd=site.ROOT, check=True, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    results: dict[str, list[list[str]]] = json.loads(ended.stdout.splitlines()[-1])
    return results


def test_the_cells_of_every_chapter_say_in_the_browser_what_they_say_here(
    cells_page: Visit, here: dict[str, list[list[str]]]
) -> None:
    differ = []
    for name, cells in chapters().items():
        told = cells_page.page.evaluate(
            "async cells => { py.globals.set('cells_json', cells); return await py.runPythonAsync("
            "'import json, cells; json.dumps(await cells.run_cells(json.loads(cells_json)))') }",
            json.dumps(cells),
        )
        there = json.loads(told)
        if name in LIVE:
            assert any("no process can be started" in said or "NotImplemented" in said for _, said in there), name
            continue
        for number, (one, other) in enumerate(zip(here[name], there, strict=True)):
            is_live = any("LocalCluster(" in cell for cell in cells)  # in real time: no two runs say the same
            if one[0] == "ok" and (one[0] != other[0] if is_live else one != other):
                differ.append((name, number, one, other))
    assert differ == []
    assert cells_page.elsewhere == []


def test_only_frames_and_figures_need_pandas(here: dict[str, list[list[str]]]) -> None:
    reasons = {
        (name, said) for name, cells in here.items() if name not in LIVE for kind, said in cells if kind == "error"
    }
    # cells here are no module that another process could import
    explained = re.compile("pandas|numpy|NameError|cannot go to another process")
    assert [one for one in reasons if not explained.search(one[1])] == []


def test_without_the_web_a_frame_says_what_is_missing(cells_page: Visit) -> None:
    told = cells_page.page.evaluate(
        "async () => { try { await py.runPythonAsync('sim.trace.events') } catch (error) { return String(error) } }"
    )
    assert re.search('numpy is not installed; pip install "pyraft-lab.data."', told), told


def test_what_the_browser_fetches_from_the_web_is_named_with_its_digest(address: str) -> None:  # noqa: ARG001
    lock = json.loads((site.SITE / "static/pyodide/pyodide-lock.json").read_text("utf-8"))
    far = {name: one for name, one in lock["packages"].items() if "://" in one["file_name"]}
    assert {"pandas", "numpy", "pyarrow"} <= set(far)
    assert all(one["file_name"].startswith("https://cdn.jsdelivr.net/pyodide/v") for one in far.values())
    assert all(re.fullmatch(r"[0-9a-f]{64}", one["sha256"]) for one in far.values())


class Notebook:
    """A chapter in JupyterLab."""

    def __init__(self, address: str, browser: Any, chapter: str) -> None:
        self.visit = Visit(browser)
        self.page = self.visit.page
        self.page.goto(f"{address}/lab/index.html?path={chapter}.ipynb")
        self.page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell")
        self.page.wait_for_function("window.jupyterapp !== undefined")
        assert self.page.query_selector(".jp-Dialog") is None, "it asks for a kernel"
        self.page.evaluate(KERNEL_IS_UP)  # cells that are run before that are not run at all

    def command(self, name: str, **options: Any) -> None:
        """Execute a command, and wait for its end; cells that are run have run then, or one of them has failed."""
        self.page.evaluate(COMMAND, [name, options, 5 * SOON])

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The code cells."""
        all_of_them: list[dict[str, Any]] = self.page.evaluate(CELLS)
        return [cell for cell in all_of_them if cell["cell_type"] == "code"]

    def run_cell(self, source: str) -> str:
        """Run a new cell below the last one, which is active after *Run All Cells*; what it says."""
        for name, options in (
            ("notebook:insert-cell-below", {}),
            ("notebook:enter-edit-mode", {}),
            ("notebook:replace-selection", {"text": source}),
        ):
            self.command(name, **options)
        self.command("notebook:run-cell")
        return text_of(self.cells[-1])


KERNEL_IS_UP = """async () => {
    const context = window.jupyterapp.shell.currentWidget.sessionContext;
    await context.ready;
    await context.session.kernel.info;
}"""
CELLS = "() => window.jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model.toJSON())"
COMMAND = """([name, options, most]) => Promise.race([
    window.jupyterapp.commands.execute(name, options),
    new Promise((_, fail) => setTimeout(() => fail(new Error(`${name} has not ended`)), most)),
])"""


def text_of(cell: dict[str, Any]) -> str:
    """Everything that a cell says."""
    return json.dumps(cell["outputs"], ensure_ascii=False)


@pytest.fixture(scope="module")
def chapter(address: str, browser: Any) -> Notebook:
    """The first chapter after *Run All Cells*."""
    notebook = Notebook(address, browser, "01-a-leader-is-elected")
    notebook.command("notebook:run-all-cells")
    return notebook


def test_without_the_web_a_whole_chapter_runs_and_says_what_is_left_out(chapter: Notebook) -> None:
    failed = [cell["source"] for cell in chapter.cells if '"output_type": "error"' in text_of(cell)]
    assert failed == []
    assert [cell["source"] for cell in chapter.cells if cell["execution_count"] is None] == []
    left_out = [cell for cell in chapter.cells if re.search("Left out: this cell needs (numpy|pandas)", text_of(cell))]
    assert 0 < len(left_out) < len(chapter.cells) / 2
    assert [url for url in chapter.visit.elsewhere if "pyodide" not in url] == []


@pytest.mark.parametrize(
    ("name", "reason"), [("08-a-cluster-over-mqtt", "processes"), ("15-watch-a-live-cluster", "pandas|numpy")]
)
def test_a_chapter_in_real_time_runs_to_its_end_too(address: str, browser: Any, name: str, reason: str) -> None:
    notebook = Notebook(address, browser, name)
    notebook.command("notebook:run-all-cells")
    assert [cell["source"] for cell in notebook.cells if '"output_type": "error"' in text_of(cell)] == []
    assert [cell["source"] for cell in notebook.cells if cell["execution_count"] is None] == []
    assert any(re.search(f"Left out: this cell needs ({reason})", text_of(cell)) for cell in notebook.cells)
    notebook.page.context.close()


def test_the_lab_of_a_chapter_shows(chapter: Notebook) -> None:
    chapter.page.locator(".jp-OutputArea-output svg[role]").first.scroll_into_view_if_needed()
    (site.ROOT / "artefacts").mkdir(exist_ok=True)
    chapter.page.screenshot(path=site.ROOT / "artefacts" / "lite-lab.png")


def test_an_exercise_fails_and_is_solved_there(chapter: Notebook) -> None:
    wrong = chapter.run_cell("%%rule has_won\ndef has_won(membership, granted):\n    return True")
    right = chapter.run_cell(
        "%%rule has_won\ndef has_won(membership, granted):\n    return membership.is_quorum(granted)"
    )
    assert ("✗" in wrong, "✓" in right) == (True, True), (wrong[:2000], right[:2000])
