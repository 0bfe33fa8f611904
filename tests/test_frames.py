"""A frame belongs to whoever asked for it, and has the same words in every run."""

from collections.abc import Callable

import pandas as pd
import pytest

from pyraft_lab import Simulation, run_campaign, viz
from pyraft_lab.sim.sweep import sweep

TRACED = ("events", "messages", "states", "entries", "gaps")


def run(seed: int, *, crash: bool = False) -> Simulation:
    sim = Simulation(nodes=3, seed=seed)
    sim.always("a leader", bool)
    sim.run_until(lambda sim: sim.leader)
    sim.write({"op": "put", "key": "x", "value": 1})
    if crash:
        sim.crash(1)
    sim.run(1)
    return sim


@pytest.fixture(scope="module")
def sim() -> Simulation:
    return run(7)


FRAMES: dict[str, Callable[[Simulation], pd.DataFrame]] = {
    "events": lambda sim: sim.trace.events,
    "messages": lambda sim: sim.trace.messages,
    "states": lambda sim: sim.trace.states,
    "entries": lambda sim: sim.trace.entries,
    "gaps": lambda sim: sim.trace.gaps,
    "history": lambda sim: sim.history.frame,
    "properties": lambda sim: sim.properties,
    "diff": lambda sim: sim.diff(run(8)),
    "why": lambda sim: sim.trace.why(leader=sim.leader).frame,
}


@pytest.mark.parametrize("name", FRAMES)
def test_whoever_changes_a_frame_changes_his_own(sim: Simulation, name: str) -> None:
    ask = FRAMES[name]
    before = ask(sim).copy()
    mine = ask(sim)
    for column in list(mine.columns)[1:]:
        del mine[column]
    mine.columns = ["nothing"]
    if len(mine):
        mine.iloc[0, 0] = None
    pd.testing.assert_frame_equal(ask(sim), before)


def test_a_campaign_gives_away_its_own_frame_each_time() -> None:
    campaign = run_campaign(range(2), nodes=3, faults="none", seconds=1)
    mine = campaign.frame
    mine["seed"] = 0
    assert list(campaign.frame.seed) == [0, 1]


def test_figures_stay_as_they_were(sim: Simulation) -> None:
    before = viz.roles(sim).to_json()
    events, states = sim.trace.events, sim.trace.states
    events["time"] *= 1000
    states["role"] = "leader"
    assert viz.roles(sim).to_json() == before


@pytest.mark.parametrize("name", TRACED)
def test_frames_of_two_runs_are_joined_with_their_types(name: str) -> None:
    first, second = getattr(run(1).trace, name), getattr(run(2, crash=True).trace, name)
    assert list(pd.concat([first, second]).dtypes) == list(first.dtypes)


def test_columns_of_two_runs_are_compared() -> None:
    first, second = run(1).trace.events, run(2, crash=True).trace.events
    assert (first.kind == second.kind.iloc[0]).any()
    assert set(first.kind.cat.categories) == set(second.kind.cat.categories)


def test_a_sweep_is_a_new_frame() -> None:
    made = sweep(lambda seed, nodes: Simulation(nodes=nodes, seed=seed), {"nodes": [1, 3]})
    assert list(made.nodes) == [1, 3]
