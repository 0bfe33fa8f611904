"""The house keeps its plan: floors, sizes, names, faces, and nothing of the machine it was built on."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import pyraft_lab

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "pyraft_lab").rglob("*.py"))
ROOMS = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "mkdocs.yml",
    "pyproject.toml",
    "constraints.txt",
]
FOLDERS = ["pyraft_lab", "chapters", "notebooks", "tests", "binder", ".ci"]
SUFFIXES = {".py", ".md", ".ipynb", ".toml", ".yml", ".txt", ".json", ".js", ".css", ".cfg", ".svg", ""}
LARGEST = 500  # lines
SHORTEST_DOCSTRING = 20  # characters
EMPTY_WORDS = {"utils", "util", "common", "helpers", "helper", "manager", "misc", "base_utils"}
HEAVY = ["pandas", "pyarrow", "plotly", "anywidget", "ipywidgets", "aiomqtt", "IPython"]
ARGUED = {
    ("pyraft_lab.trace.record", "pyraft_lab.trace.story"): "a record prints as its sentence",
    ("pyraft_lab.trace.trace", "pyraft_lab.runtime.trace_stream"): "Trace.follow is where a learner looks for it",
}
"""Imports that go against the others, within one function each, and why."""
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:root|home|Users|work|opt)/\w+")

FLOORS = re.compile(r"^## The floors$.*?^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROOM = re.compile(r"^\*\*`?([\w ]+?)/?`?(?::.*)?\*\*$")
NAMED = re.compile(r"`([\w/]+)`")

each_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


def test_imports_keep_to_the_floors() -> None:
    contracts = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    linted = subprocess.run(
        contracts, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_architecture_shows_the_floors_that_imports_keep_to() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (kept,) = (contract["layers"] for contract in contracts if contract.get("containers") == ["pyraft_lab"])
    shown = FLOORS.search((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert shown is not None
    assert shown[1] == "".join(f"{floor.replace('(', '').replace(')', '')}\n" for floor in kept)


def test_architecture_has_a_line_for_every_module() -> None:
    package = ROOT / "pyraft_lab"
    modules = {path.relative_to(package).with_suffix("").as_posix() for path in MODULES}
    there = {name for name in modules if not name.rpartition("/")[2].startswith("__")}
    described = modules_described((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert sorted(there - described) == [], "without a line in ARCHITECTURE.md"
    assert sorted(described - there) == [], "in ARCHITECTURE.md, but not in the package"


def modules_described(page: str) -> set[str]:
    """The modules before the colon of each line below *Rooms and modules*, as paths within the package."""
    rooms = page.partition("\n### Rooms and modules\n")[2].partition("\n## ")[0]
    found, room = set[str](), ""
    for line in re.sub(r"\n  +", " ", rooms).splitlines():
        if title := ROOM.match(line):
            room = "" if " " in title[1] else f"{title[1]}/"
        elif line.startswith("- "):
            found.update(f"{room}{name}" for name in NAMED.findall(line.partition("`: ")[0] + "`"))
    return found


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("pyraft_lab", exclude_type_checking_imports=True, cache_dir=None)
    arrows = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    for above, below in ARGUED:
        arrows[above].remove(below)
    TopologicalSorter(arrows).prepare()  # CycleError names the circle


@each_module
def test_a_module_is_short_enough_to_read(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= LARGEST


@each_module
def test_a_module_says_its_one_idea(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    assert docstring is not None
    assert len(docstring) >= SHORTEST_DOCSTRING


@each_module
def test_a_module_is_named_after_something(module: Path) -> None:
    parts = module.relative_to(ROOT).with_suffix("").parts
    assert EMPTY_WORDS.isdisjoint(word for part in parts for word in part.split("_"))


def test_importing_the_package_imports_nothing_heavy() -> None:
    question = f"import sys, pyraft_lab; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


@pytest.mark.parametrize("name", sorted(vars(pyraft_lab).get("__all__", ())))
def test_a_public_name_explains_itself(name: str) -> None:
    thing = getattr(pyraft_lab, name)  # some are imported only now
    if callable(thing):
        assert (thing.__doc__ or "").strip(), f"{name} has no docstring"
    else:
        assert thing is not None


def test_no_file_remembers_the_machine_it_was_written_on() -> None:
    texts = [ROOT / name for name in ROOMS]
    texts += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    remembered = [
        (str(path.relative_to(ROOT)), found.group())
        for path in texts
        if path.is_file() and "__pycache__" not in path.parts
        for found in MACHINE_PATH.finditer(path.read_text(encoding="utf-8"))
    ]
    assert remembered == []
