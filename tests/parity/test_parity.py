"""Scenarios end the same way in a simulation, among live nodes in memory, and over a broker."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyraft_lab.network import broker
from tests.parity.language import WITHIN, Scenario
from tests.parity.play import play
from tests.parity.scenarios import SCENARIOS
from tests.parity.worlds import Live, Pristine, Simulated

NUMBERED = [
    pytest.param(
        number,
        one,
        id=one.name.replace(" ", "-"),
        marks=[pytest.mark.xfail(reason=one.pending, strict=False)] if one.pending else [],
    )
    for number, one in enumerate(SCENARIOS)
]
scenarios = pytest.mark.parametrize(("number", "scenario"), NUMBERED)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One broker for all; without mosquitto its tests are skipped, visibly."""
    if broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with broker.start(kind="mosquitto") as running:
        yield running.url


@scenarios
async def test_a_scenario_in_a_simulation(number: int, scenario: Scenario) -> None:  # noqa: ARG001
    world = Simulated(scenario)
    answers, ends = await play(scenario, world)
    assert answers == [answer for _, answer in scenario.lines]
    assert ends == (scenario.ends if scenario.settles else None)
    assert not world.sim.violations


@scenarios
async def test_a_scenario_among_live_nodes_in_memory(number: int, scenario: Scenario, tmp_path: Path) -> None:
    await live(scenario, "memory", tmp_path, f"parity{number}")


@scenarios
async def test_a_scenario_over_mqtt(number: int, scenario: Scenario, tmp_path: Path, url: str) -> None:
    await live(scenario, url, tmp_path, f"parity{number}")


async def live(scenario: Scenario, network: str, directory: Path, name: str) -> None:
    kind = Live if scenario.initialize else Pristine
    async with kind(scenario, network, directory, name) as world, asyncio.timeout(2 * WITHIN):
        answers, ends = await play(scenario, world)
    assert answers == [answer for _, answer in scenario.lines]
    assert ends == (scenario.ends if scenario.settles else None)


def test_there_are_scenarios_enough_and_each_has_a_name_of_its_own() -> None:
    assert len({one.name for one in SCENARIOS}) == len(SCENARIOS) >= 30
