"""Binder would find what it needs: checked here without Docker."""

import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PINS = {
    canonicalize_name(name): version
    for name, _, version in (line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
}


def test_binder_installs_this_checkout_with_extras_that_exist() -> None:
    lines = [line for line in (BINDER / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    constraints, here = lines
    assert (BINDER / constraints.removeprefix("-c ")).resolve() == ROOT / "constraints.txt"
    assert here.startswith("-e .[")
    assert set(here.removeprefix("-e .[").removesuffix("]").split(",")) <= set(EXTRAS)


def test_binder_runs_the_oldest_python_that_the_project_supports() -> None:
    version = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert PROJECT["requires-python"] == f">={version}"


def test_binder_installs_the_broker_that_chapters_prefer() -> None:
    assert (BINDER / "apt.txt").read_text().split() == ["mosquitto"]


def test_no_file_outvotes_the_requirements() -> None:
    assert {path.name for path in BINDER.iterdir()} == {
        "apt.txt",
        "badge.svg",
        "postBuild",
        "requirements.txt",
        "runtime.txt",
    }


def test_after_the_build_jupyterlab_has_the_same_settings_as_at_home(tmp_path: Path) -> None:
    script = BINDER / "postBuild"
    assert os.access(script, os.X_OK)
    subprocess.run([str(script)], cwd=ROOT, env={**os.environ, "NB_PYTHON_PREFIX": str(tmp_path)}, check=True)
    (written,) = (tmp_path / "share/jupyter/lab/settings/overrides.d").iterdir()
    assert "@jupyterlab/docmanager-extension:plugin" in json.loads(written.read_text())
    (server,) = (tmp_path / "etc/jupyter/jupyter_server_config.d").iterdir()
    assert json.loads(server.read_text())["ServerApp"]["jpserver_extensions"] == {"pyraft_lab.lab.saving": True}


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_every_requirement_has_a_pin_that_it_accepts(extra: str) -> None:
    requirements = map(Requirement, EXTRAS[extra] if extra else PROJECT["dependencies"])
    others = [need for need in requirements if need.name != PROJECT["name"]]
    assert [str(need) for need in others if not need.specifier.contains(PINS[canonicalize_name(need.name)])] == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_extras_are_made_of_extras_that_exist(extra: str) -> None:
    own = [need for need in map(Requirement, EXTRAS[extra]) if need.name == PROJECT["name"]]
    assert [need for need in own if not need.extras <= set(EXTRAS)] == []


def test_pins_are_plain() -> None:
    assert [name for name, version in PINS.items() if not version.replace(".", "").isalnum()] == []


def test_the_public_address_stands_in_one_place() -> None:
    texts = [*ROOT.glob("*.*"), *ROOT.glob("chapters/*.md"), *BINDER.iterdir()]
    assert [
        path.name for path in texts if path.is_file() and "mybinder.org/v2" in path.read_text(errors="replace")
    ] == ["README.md"]
    assert (ROOT / "README.md").read_text().count("mybinder.org/v2") == 1
