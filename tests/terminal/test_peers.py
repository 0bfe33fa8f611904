"""Peers are measured in an environment of their own; without a network, what is missing is said."""

import sys
from pathlib import Path

import pytest

from pyraft_lab.errors import PyraftError
from pyraft_lab.terminal import peers
from pyraft_lab.terminal.bench import median_of
from pyraft_lab.terminal.peers import PeerSpeed, environment, measure_peer


def test_without_a_network_the_error_says_what_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(PyraftError, match="needs the network once"):
        environment()
    assert not list(tmp_path.rglob("complete")), "the next call tries again"


def test_an_environment_that_is_complete_is_used_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "pyraft-lab" / "pysyncobj-0.3.17"
    home.mkdir(parents=True)
    (home / "complete").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert environment().is_relative_to(home)


def test_the_speed_of_a_run_is_read_and_a_failed_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PROGRAM", 'import sys; print(\'{"writes": %s, "p50": 2.5, "cpu": 9.0}\' % sys.argv[1])')
    assert measure_peer(Path(sys.executable), outstanding=64, seconds=0.1) == PeerSpeed(
        outstanding=64, writes=64.0, p50=2.5, cpu=9.0
    )
    monkeypatch.setattr(peers, "PROGRAM", "raise SystemExit('no quorum')")
    with pytest.raises(PyraftError, match="no quorum"):
        measure_peer(Path(sys.executable), outstanding=1, seconds=0.1)


def test_the_median_run_is_one_of_the_runs() -> None:
    runs = [PeerSpeed(writes=writes, p50=1.0, cpu=1.0) for writes in (3.0, 1.0, 2.0)]
    assert median_of(runs) is runs[2]
