"""The drawing's JavaScript: its parts do what they say, its types are those of Python, and the bundle is up to date.

What needs only node runs wherever node is; what needs npm's packages skips, and says so, where they were not fetched.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from pyraft_lab.lab.typescript import TARGET, declarations

LAB = Path(__file__).parents[2] / "pyraft_lab/lab"
HOME = LAB / "js"
CACHE = LAB.parents[1] / ".cache/lab-js"
NODE = shutil.which("node")
LONG = 300
"""Seconds for anything: the machine may be busy."""

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")
needs_packages = pytest.mark.skipif(
    NODE is None or not (CACHE / "node_modules/esbuild").exists(),
    reason="npm's packages were not fetched: tests/javascript-tools does that, with npm",
)


def node(home: Path, *arguments: str | Path) -> None:
    """Run node there; what it complains of is what the test says."""
    assert NODE is not None
    ran = subprocess.run(
        [NODE, *map(str, arguments)], cwd=home, capture_output=True, text=True, timeout=LONG, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture
def workshop() -> Path:
    """A copy of the sources beside npm's packages."""
    for part in ("src", "test"):
        shutil.rmtree(CACHE / part, ignore_errors=True)
    shutil.copytree(HOME, CACHE, dirs_exist_ok=True)
    return CACHE


@needs_node
def test_every_pure_part_does_what_its_tests_say() -> None:
    node(HOME, "--test", *sorted((HOME / "test").glob("*.test.js")))


def test_the_types_of_the_wire_are_made_of_pythons() -> None:
    assert TARGET.read_text(encoding="utf-8") == declarations(), "run python -m pyraft_lab.lab.typescript"


@pytest.mark.parametrize("bundle", ["lab.js", "panel.js"])
def test_a_bundle_names_the_sources_that_it_was_made_of(bundle: str) -> None:
    found = hashlib.sha256()
    for source in sorted((HOME / "src").glob("*.js"), key=lambda path: path.name):
        found.update(f"{source.name}\n".encode() + source.read_bytes())
    first = (LAB / "static" / bundle).read_text(encoding="utf-8").partition("\n")[0]
    assert first.endswith(found.hexdigest()), "run make javascript"


@needs_packages
def test_a_bundle_made_now_is_the_one_that_is_kept(workshop: Path, tmp_path: Path) -> None:
    node(workshop, "build.js", tmp_path)
    for made in tmp_path.iterdir():
        assert made.read_bytes() == (LAB / "static" / made.name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab.js", "panel.js"]


@needs_packages
def test_the_sources_are_typed_strictly(workshop: Path) -> None:
    node(workshop, "node_modules/typescript/bin/tsc")


@needs_packages
def test_the_sources_are_formatted_and_free_of_lint(workshop: Path) -> None:
    parts = ("src", "test", "*.js")
    node(workshop, "node_modules/prettier/bin/prettier.cjs", "--check", "--log-level", "warn", *parts)
    node(workshop, "node_modules/eslint/bin/eslint.js", *parts)
