"""Every block of code in README is run: what it promises to a newcomer is true today."""

import re
import subprocess
from pathlib import Path

import pytest

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
        case "sh":  # these run the tests or a server, so here only the targets are looked up
            for line in code.splitlines():
                command, *arguments = line.split()
                assert command == "make"
                subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, check=True, capture_output=True)
        case _:
            pytest.fail(f"nobody knows how to run {language!r}")


def test_every_link_leads_to_a_file() -> None:
    links = LINK.findall(README.read_text())
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []
