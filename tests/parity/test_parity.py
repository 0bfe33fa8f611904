"""Scenarios end the same way in a simulation, among live nodes in memory, and over a broker."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from pyraft_lab.network import broker
from tests.parity.language import WITHIN, Scenario
from tests.parity.play import play
from tests.parity.scenarios import SCENARIOS
from tests.parity.worlds import Live, Pristine, Simulated


def numbered() -> list[ParameterSet]:
    """Every scenario; those that are not right yet are expected to fail."""
    return [
        pytest.param(number, one, id=one.name.replace(" ", "-"), marks=expected_to_fail(one))
        for number, one in enumerate(SCENARIOS)
    ]


def expected_to_fail(scenario: Scenario) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(reason=scenario.pending, strict=False)] if scenario.pending else []


every = pytest.mark.parametrize(("number", "scenario"), numbered())


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One broker for all: mosquitto, or the embedded one where that is not installed."""
    with broker.start() as running:
        yield running.url


@every
async def test_a_scenario_in_a_simulation(number: int, scenario: Scenario) -> None:  # noqa: ARG001
    world = Simulated(scenario)
    answers, ends = await play(scenario, world)
    assert answers == [answer for _, answer in scenario.lines]
    assert ends == (scenario.ends if scenario.settles else None)
    assert not world.sim.violations


@every
async def test_a_scenario_among_live_nodes_in_memory(number: int, scenario: Scenario, tmp_path: Path) -> None:
    await live(scenario, "memory", tmp_path, f"parity{number}")


@every
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
