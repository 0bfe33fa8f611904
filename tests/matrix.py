"""The other Pythons: environments in which the rooms that everything stands on are tested again.

Each Python that the project claims and that this machine has, by name on the path or in pyenv, and the lowest Python
with the lowest of all dependencies. What they need is installed into ``.cache/matrix``, once; with uv if that is on
the path. ``tests/test_matrix.py`` runs the rooms.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "matrix"
ROOMS = (
    "engine",
    "sim",
    "network",
    "storage",
    "trace",
    "parity",
    "exercises/test_guard.py",
    "test_pending_requests.py",
    "test_machine.py",
)
LEFT_OUT = ("parity/test_parity.py::test_a_scenario_over_mqtt",)
"""Tests that mostly wait, for nothing that another Python could change."""
FEWER = {"PYRAFT_KILLS": "5", "FUZZ": "200"}
"""How often tests that try again and again do so here."""
OPTIONS = (
    *("-x", "-q", "--tb=short", "--override-ini=addopts=-ra --strict-markers --strict-config --import-mode=importlib"),
    *("-p", "no:cacheprovider", *(f"--deselect=tests/{one}" for one in LEFT_OUT)),
)
EXTRAS = ("data", "mqtt", "otel", "plans")
TOOLS = frozenset({"hypothesis", "packaging", "plotly", "pytest", "pytest-asyncio", "pytest-timeout"})
"""What the rooms need of the extras ``lab`` and ``test``."""


class Cell(Struct, frozen=True):
    """One environment: its name, its Python, and what holds its dependencies to their versions."""

    name: str
    python: Path
    pins: tuple[str, ...]

    @property
    def home(self) -> Path:
        """Where it is installed."""
        return CACHE / self.name

    @property
    def executable(self) -> Path:
        """Its own Python."""
        return self.home / "bin" / "python"


@cache
def cells() -> tuple[Cell, ...]:
    """All that can be had here, apart from the environment that runs this."""
    found = interpreters()
    newest = tuple(line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    others = [Cell(version, python, newest) for version, python in found.items() if version != running()]
    lowest = [Cell("lowest", found[version], lowest_pins()) for version in claimed()[:1] if version in found]
    return (*others, *lowest)


def running() -> str:
    """The Python that runs this, as ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def claimed() -> tuple[str, ...]:
    """The Pythons that the project says it works with, the lowest first."""
    versions = re.findall(r"Python :: (3\.\d+)$", "\n".join(_project()["classifiers"]), re.MULTILINE)
    return tuple(sorted(versions, key=lambda version: int(version.split(".")[1])))


def interpreters() -> dict[str, Path]:
    """One interpreter for each claimed version that is installed."""
    found = {running(): Path(sys.executable)}
    for version in claimed():
        for candidate in _candidates(version):
            if version not in found and _version(candidate) == version:
                found[version] = candidate
    return {version: found[version] for version in claimed() if version in found}


def lowest_pins() -> tuple[str, ...]:
    """Every dependency at the lowest version that ``pyproject.toml`` allows."""
    return tuple(
        f"{one.name}=={bound.version}" for one in requirements() for bound in one.specifier if bound.operator == ">="
    )


def requirements() -> list[Requirement]:
    """What is installed: the dependencies, the extras that the rooms use, and the tools that test them."""
    project = _project()
    extras = project["optional-dependencies"]
    tools = [text for text in (*extras["lab"], *extras["test"]) if Requirement(text).name in TOOLS]
    return [Requirement(text) for text in (*project["dependencies"], *(t for e in EXTRAS for t in extras[e]), *tools)]


def install(cell: Cell) -> None:
    """Make the environment; nothing is done where it is up to date. ``RuntimeError`` says what went wrong."""
    wanted = sorted(map(str, requirements()))
    stamp = cell.home / "stamp"
    digest = sha256("\n".join((str(cell.python), *wanted, *cell.pins)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    shutil.rmtree(cell.home, ignore_errors=True)
    cell.home.mkdir(parents=True)
    pins = cell.home / "pins.txt"
    pins.write_text("\n".join(cell.pins))
    for command in _installers(cell):
        _run([*command])
    _run([*_pip(cell), "-c", str(pins), *wanted])
    stamp.write_text(digest)


def run_rooms(cell: Cell) -> subprocess.CompletedProcess[str]:
    """Install it where that is needed, and run the rooms there."""
    install(cell)
    return run(cell, "-m", "pytest", *OPTIONS, *(f"tests/{room}" for room in ROOMS), **FEWER)


def run(cell: Cell, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run its Python in the project's directory, on the sources that are there."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(cell.home / "pycache"), **settings}
    command = [str(cell.executable), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _candidates(version: str) -> Iterator[Path]:
    """On the path, then in pyenv, the newest first."""
    if on_path := shutil.which(f"python{version}"):
        yield Path(on_path)
    if pyenv := _pyenv():
        yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"), key=_patch, reverse=True)


def _patch(python: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", python.parents[1].name)))


def _pyenv() -> Path | None:
    if root := os.environ.get("PYENV_ROOT"):
        return Path(root)
    if not shutil.which("pyenv"):
        return None
    asked = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False)
    return Path(asked.stdout.strip()) if asked.returncode == 0 else None


def _version(python: Path) -> str | None:
    """What it says; a name on the path may be an empty promise (pyenv's are, until a version is chosen)."""
    says = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    asked = subprocess.run([str(python), "-c", says], capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else None


def _installers(cell: Cell) -> list[Sequence[str]]:
    if uv := shutil.which("uv"):
        return [[uv, "venv", "--quiet", "--allow-existing", "--python", str(cell.python), str(cell.home)]]
    return [[str(cell.python), "-m", "venv", str(cell.home)]]


def _pip(cell: Cell) -> list[str]:
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", str(cell.executable)]
    return [str(cell.executable), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project
