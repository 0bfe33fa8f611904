import json

import pytest

from pyraft_lab.cli import main
from pyraft_lab.runtime.bench import measure
from pyraft_lab.terminal.bench import CALLS, OUTSTANDING, WAYS, simulated_steps


@pytest.mark.parametrize("storage", ["memory", "sqlite"])
async def test_a_measurement_counts_what_was_committed(storage: str) -> None:
    speed = await measure(storage=storage, outstanding=8, seconds=0.1)  # type: ignore[arg-type]
    assert speed.writes > 0
    assert 0 < speed.p50 <= speed.p99


def test_the_simulator_is_measured() -> None:
    assert simulated_steps(0.05) > 0


def test_the_command_prints_figures_for_machines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyraft_lab.terminal.bench.WAYS", WAYS[:1])
    monkeypatch.setattr("pyraft_lab.terminal.bench.NETWORKS", ("memory",))
    monkeypatch.setattr("pyraft_lab.terminal.bench.explored_worlds", lambda: 1.0)
    assert main(["bench", "--json", "--seconds", "0.05"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert [one["outstanding"] for one in figures["live"]] == list(OUTSTANDING)
    assert [(one["outstanding"], one["batch"]) for one in figures["clients"]] == [*CALLS]
    assert {"tracing", "simulated_steps", "explored_worlds", "broker"} <= set(figures)
