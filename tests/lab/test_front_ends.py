"""The Lab in other front ends than JupyterLab: Notebook 7, marimo while it is edited, Voila.

A front end that is not installed skips its test, and says so. `pip install notebook marimo voila` beside the project
brings them; they are not among its extras, for no learner needs all of them.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from socket import socket
from typing import Any

import nbformat
import pytest

from tests.lab.test_lab_in_browser import CHROMIUM, ROOT, SOON, Seat, Visit, browser, sync_api, visit

__all__ = ["browser", "visit"]

CELLS = [
    "from pyraft_lab import Lab, LocalCluster, Simulation",
    "Lab(Simulation(seed=7))",
    'Lab(Simulation(nodes=3, seed=3), view="ring")',
    "cluster = LocalCluster(3)\nawait cluster.__aenter__()\nleader = await cluster.wait_leader()\nLab(cluster)",
]
RUN_ALL = """async () => {
    const here = () => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status;
    while (here() !== "idle") await new Promise((resume) => setTimeout(resume, 200));
    window.jupyterapp.commands.execute("notebook:run-all-cells");
}"""

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@contextmanager
def served(place: Path, command: Sequence[str]) -> Iterator[str]:
    """Start a server on a free port, with homes of its own; its address."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    homes = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR", "XDG_CONFIG_HOME")
    own = {name: str(place / name.lower()) for name in homes} | {"PYTHONPATH": str(ROOT)}
    own["JUPYTER_ALLOW_INSECURE_WRITES"] = "1"
    with (place / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command, f"--port={port}"],
            cwd=place, env={**os.environ, **own}, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait(30)


def open_page(page: Any, address: str) -> None:
    """Open a page as soon as its server answers."""
    for _ in range(200):
        try:
            page.goto(address)
        except sync_api.Error:
            page.wait_for_timeout(300)
        else:
            return
    raise AssertionError("the server never answers")


def notebook(place: Path) -> Path:
    """The cells as a notebook."""
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), place / "lab.ipynb")
    return place / "lab.ipynb"


def needs(package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def test_notebook_7_shows_a_lab_that_obeys_mouse_and_keys(visit: Visit, tmp_path: Path) -> None:
    needs("notebook")
    notebook(tmp_path)
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--IdentityProvider.token="]
    options += ["--JupyterNotebookApp.expose_app_in_browser=True", f"--ServerApp.root_dir={tmp_path}"]
    with served(tmp_path, ["notebook", *options]) as address:
        open_page(visit.page, f"{address}/notebooks/lab.ipynb")
        visit.page.evaluate(RUN_ALL)
        drive(visit, "notebook")


def test_voila_shows_a_lab_that_obeys_mouse_and_keys(visit: Visit, tmp_path: Path) -> None:
    needs("voila")
    options = ["--no-browser", "--Voila.ip=127.0.0.1", "--show_tracebacks=True"]
    with served(tmp_path, ["voila", str(notebook(tmp_path)), *options]) as address:
        open_page(visit.page, address)
        drive(visit, "voila")


def test_marimo_shows_a_lab_that_obeys_mouse_and_keys_while_it_is_edited(visit: Visit, tmp_path: Path) -> None:
    needs("marimo")
    target = tmp_path / "lab.py"
    target.write_text(as_marimo(CELLS), encoding="utf-8")
    options = ["--headless", "--no-token", "--skip-update-check", "--host=127.0.0.1"]
    with served(tmp_path, ["marimo", "edit", str(target), *options]) as address:
        open_page(visit.page, address)
        visit.page.locator(".cm-content").first.wait_for(timeout=SOON)
        visit.page.keyboard.press("Control+Shift+r")  # run all cells that have not run
        drive(visit, "marimo")


def as_marimo(cells: Sequence[str]) -> str:
    """The cells as a marimo program."""
    imports, *others = cells
    names = imports.partition(" import ")[2]
    bodies = [f"async def _():\n    {imports}\n    return {names}"]
    bodies += [f"async def _({names}):\n    " + one.replace("\n", "\n    ") for one in others]
    return "import marimo\n\napp = marimo.App()\n" + "".join(f"\n\n@app.cell\n{body}\n" for body in bodies)


def drive(visit: Visit, name: str) -> None:
    """Step, go back and forth, crash a server, with keys that front ends have shortcuts for; see the other views."""
    page, seat = visit.page, Seat(visit.page)
    seat.root.scroll_into_view_if_needed()
    first = seat.event
    seat.button("Step").click()
    seat.wait_for_event(f"== {first + 1}")
    seat.shows("n1 leader")
    seat.root.focus()
    page.keyboard.press("ArrowRight")
    seat.wait_for_event(f"== {first + 2}")
    page.keyboard.press("Home")
    seat.wait_for_event("== 0")
    page.keyboard.press("End")
    seat.wait_for_event(f"== {first + 2}")
    seat.button("Step").focus()
    page.keyboard.press("Enter")  # which a notebook would take for "edit this cell"
    seat.wait_for_event(f"== {first + 3}")
    seat.root.focus()
    page.keyboard.press("1")
    page.keyboard.press("c")  # and this for "copy this cell"
    seat.shows("n1 down")
    visit.picture(f"front-{name}")
    plain = Seat(page, 1)
    plain.root.scroll_into_view_if_needed()
    plain.button("Step").click()
    visit.picture(f"front-{name}-plain")
    live = Seat(page, 2)
    live.root.scroll_into_view_if_needed()
    live.wait_for_event(f"> {live.event}")
    visit.picture(f"front-{name}-live")
    assert [one for one in visit.complaints if "raft" in one.lower()] == []
