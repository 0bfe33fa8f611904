"""Every block of code in README is run: what it promises to a newcomer is true today."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pyraft_lab.network.broker import free_port

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(*found.groups(), id=f"{found[1]}-{number}")
    for number, found in enumerate(FENCE.finditer(README.read_text()))
]
LINK = re.compile(r"\]\((?!https?:)([\w./-]+)\)")


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_the_block_runs(language: str, code: str) -> None:
    match language:
        case "python":
            exec(compile(code, str(README), "exec"), {"__name__": "__main__"})
        case "sh":  # these run the tests or a server, so here only the targets are looked up; the session is run below
            for line in code.splitlines():
                command, *arguments = shlex.split(line, comments=True)
                assert command in {"make", "pyraft-lab"}
                if command == "make":
                    subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, check=True, capture_output=True)
        case _:
            pytest.fail(f"nobody knows how to run {language!r}")


def test_the_session_in_two_terminals_runs(tmp_path: Path) -> None:
    port = str(free_port())
    lines = [line.replace("18830", port) for line in README.read_text().splitlines() if "18830" in line]
    words = [shlex.split(line.removesuffix("&")) for line in lines]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    running: list[subprocess.Popen[bytes]] = []
    try:
        for line, (_, *arguments) in zip(lines, words, strict=True):
            command = [sys.executable, "-m", "pyraft_lab", *arguments]
            if line.endswith("&"):
                running.append(subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE))
                if arguments[0] == "broker":
                    assert running[0].stdout is not None
                    assert running[0].stdout.readline() == f"mqtt://127.0.0.1:{port}\n".encode()
            elif arguments[0] != "watch":  # which would go on for ever
                subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, timeout=60)
        assert len(running) == 5
    finally:
        for process in reversed(running):
            process.terminate()
            process.communicate()


def test_every_link_leads_to_a_file() -> None:
    links = LINK.findall(README.read_text())
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []
