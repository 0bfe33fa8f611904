"""`pyraft-lab lab`, started for real on a free port and looked at through HTTP and through a browser."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, Request, sync_playwright

from pyraft_lab.cli import main
from pyraft_lab.lab import launch

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-this-test"  # the server listens on the loopback only, and only while the test runs
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LONG = 240_000  # milliseconds for anything in a browser
SAVED = "() => !document.querySelector('.lm-DockPanel-tabBar .jp-mod-current.jp-mod-dirty')"
END_KERNELS = """async () => {
    const xsrf = /_xsrf=([^;]+)/.exec(document.cookie)?.[1] ?? "";
    for (const session of await (await fetch("/api/sessions")).json())
        await fetch(`/api/sessions/${session.id}`, { method: "DELETE", headers: { "X-XSRFToken": xsrf } });
}"""
pytestmark = pytest.mark.timeout(900)
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\S*")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that a running `pyraft-lab lab` printed."""
    home = tmp_path_factory.mktemp("home")  # so that nobody's own settings and chapters are read or written
    for folder in ("chapters", "notebooks"):
        shutil.copytree(ROOT / folder, home / folder)
    shutil.copy(ROOT / "pyproject.toml", home)  # it says where JupyterLab keeps the outputs of a chapter
    command = [
        sys.executable,
        "-m",
        "pyraft_lab",
        "lab",
        "--no-browser",
        "--port=0",
        f"--IdentityProvider.token={TOKEN}",
    ]
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), "JUPYTER_ALLOW_INSECURE_WRITES": "1"}
    with subprocess.Popen(command, cwd=home, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            lines = (ADDRESS.search(line) for line in server.stderr)
            printed = next(found.group() for found in lines if found)
            wait_until_it_answers(printed, server)
            yield printed
        finally:
            stop(server)


def test_the_printed_address_leads_to_the_first_chapter(address: str) -> None:
    assert address.partition("?")[0].endswith("/tree/chapters/00-start-here.md")


def test_markdown_opens_as_a_notebook_and_nothing_asks_for_news(address: str) -> None:
    assert setting(address, "@jupyterlab/docmanager-extension:plugin")["defaultViewers"]["default"] == {
        "markdown": "Jupytext Notebook",
        "myst": "Jupytext Notebook",
    }
    assert setting(address, "@jupyterlab/apputils-extension:notification")["fetchNews"]["default"] == "false"


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_chapter_opens_blank_and_shows_still_pictures_when_it_is_opened_again(address: str) -> None:
    """Blank: no output. Run, saved and opened again without its kernel: pictures, and never a missing widget."""
    first = f"{address.partition('?')[0].replace('/workspaces/pyraft-lab', '')}?token={TOKEN}&reset"
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        open_chapter(page, first)
        assert page.locator(".jp-OutputArea-child").count() == 0
        page.get_by_role("menuitem", name="Run", exact=True).first.click()
        page.get_by_text("Run All Cells", exact=True).first.click()
        page.locator(".raftlab").wait_for(timeout=LONG)
        page.keyboard.press("Control+s")
        page.wait_for_function(SAVED, timeout=LONG)
        page.evaluate(END_KERNELS)
        open_chapter(page, first)
        picture = page.locator(".jp-OutputArea img[alt*='n2 leads term 1']")
        picture.wait_for(timeout=LONG)
        assert "Error displaying widget" not in page.locator(".jp-Notebook").inner_text()
        assert page.locator(".raftlab").count() == 0
        browser.close()


def open_chapter(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=LONG)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=LONG)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_shows_the_chapter_as_a_notebook_and_asks_no_other_machine(address: str) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("request", note)
        page.goto(f"{address.partition('?')[0]}?token={TOKEN}")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=LONG)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=LONG)
        browser.close()
    here = address.partition("/lab")[0]
    assert [url for url in asked if not url.startswith((here, "data:", "blob:"))] == []


def test_the_guide_is_copied_out_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "site-packages" / "pyraft_lab" / "lab"
    (installed / "guide" / "chapters").mkdir(parents=True)
    (installed / "guide" / "chapters" / "00-start-here.md").touch()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    assert launch.guide(installed) == work / "pyraft-lab-guide"
    assert launch.first_chapter(work / "pyraft-lab-guide") == "chapters/00-start-here.md"


def test_help_explains_itself_without_starting_anything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "--help"]) == 0
    assert "--no-browser --port 8899" in capsys.readouterr().out


def wait_until_it_answers(address: str, server: "subprocess.Popen[str]") -> None:
    """JupyterLab prints its address a moment before it listens there."""
    while server.poll() is None:
        try:
            urlopen(address).close()
        except URLError:
            with suppress(subprocess.TimeoutExpired):
                server.wait(timeout=0.1)
        else:
            return
    pytest.fail("JupyterLab ended before it answered")


def stop(server: "subprocess.Popen[str]") -> None:
    server.terminate()
    try:
        server.communicate(timeout=20)
    except subprocess.TimeoutExpired:  # JupyterLab can hang when it is stopped while a page is still loading
        server.kill()


def setting(address: str, plugin: str) -> dict[str, dict[str, object]]:
    with urlopen(f"{address.partition('/lab')[0]}/lab/api/settings/{plugin}?token={TOKEN}") as answer:
        properties: dict[str, dict[str, object]] = json.load(answer)["schema"]["properties"]
    return properties
