"""Campaigns: right Raft survives, wrong Raft is named with a capsule; any executor; interrupted ones go on."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pyraft_lab.check.campaign import SAVED_EVERY, Campaign, CampaignSettings, Row, rare_chapters, run_campaign
from pyraft_lab.check.failure import Failure, failure
from pyraft_lab.check.mutants.faulty_rules import accepts_before_disk
from pyraft_lab.check.situations import SITUATIONS
from pyraft_lab.check.swarm import CHAPTERS, EXTREME, METHODS, WILD_CLOCKS, draw
from pyraft_lab.check.trial import judged
from pyraft_lab.concurrency import Serial
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules
from pyraft_lab.errors import ConfigError
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.workload import Load

HASTY = raft(replace(RAFT, waits_for_disk=accepts_before_disk))


@pytest.mark.parametrize("rules", [RAFT, ADVANCED], ids=["raft", "advanced"])
def test_right_rules_survive_heavy_faults(rules: Rules) -> None:
    campaign = run_campaign(range(3), engine=raft(rules), executor=Serial())
    assert campaign.ok
    assert campaign.failures == ()
    frame = campaign.frame
    assert list(frame.seed) == [0, 1, 2]
    assert frame.ok.all()
    assert frame.elections.sum() >= 3


def test_a_failure_names_what_fell_and_brings_its_capsule() -> None:
    campaign = run_campaign(range(4), engine=HASTY, executor=Serial())
    assert not campaign.ok
    row = campaign.failures[0]
    found = failure(Simulation.from_capsule(row.capsule))
    assert found is not None
    assert (row.failed, row.what) == (found.name, found.what)


def test_processes_give_the_same_rows_as_one_after_the_other() -> None:
    def rows(campaign_of: dict[str, object]) -> list[object]:
        return [campaign_of[name] for name in ("seed", "ok", "events", "calls", "committed")]

    with ProcessPoolExecutor(2) as pool:
        spread = run_campaign(range(3), nodes=3, faults="light", seconds=2, executor=pool).frame
    serial = run_campaign(range(3), nodes=3, faults="light", seconds=2, executor=Serial()).frame
    same = ["seed", "ok", "events", "calls", "committed"]
    assert spread[same].equals(serial[same])


def test_a_campaign_goes_on_from_its_file(tmp_path: Path) -> None:
    path, new = tmp_path / "campaign.parquet", list[Row]()
    run_campaign(range(2), nodes=3, faults="light", seconds=1, executor=Serial(), path=path)
    whole = run_campaign(
        range(4), nodes=3, faults="light", seconds=1, executor=Serial(), path=path, progress=new.append
    )
    assert [row.seed for row in whole.rows] == [0, 1, 2, 3]
    assert [row.seed for row in new] == [2, 3]


def test_a_file_of_another_campaign_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "campaign.parquet"
    run_campaign(range(1), nodes=3, faults="light", seconds=1, executor=Serial(), path=path)
    with pytest.raises(ConfigError, match="other settings"):
        run_campaign(range(1), nodes=3, faults="light", seconds=2, executor=Serial(), path=path)


def test_a_file_that_holds_no_campaign_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    path = tmp_path / "campaign.parquet"
    path.write_text("hello")
    with pytest.raises(ConfigError, match="is not a file in which a campaign was kept"):
        run_campaign([1], path=path, executor=Serial())
    assert path.read_text() == "hello"


def test_what_was_done_is_kept_when_a_campaign_is_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "campaign.parquet"

    def interrupt(row: Row) -> None:
        if row.seed == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign(range(4), nodes=3, faults="light", seconds=1, executor=Serial(), path=path, progress=interrupt)
    new = list[Row]()
    run_campaign(range(4), nodes=3, faults="light", seconds=1, executor=Serial(), path=path, progress=new.append)
    assert [row.seed for row in new] == [2, 3]


def test_rules_that_cannot_travel_are_refused_with_the_way_out() -> None:
    own = raft(replace(RAFT, may_change=lambda _state, _leader: True))
    with ProcessPoolExecutor(1) as pool, pytest.raises(ConfigError, match=r"use Serial\(\)"):
        run_campaign(range(1), nodes=3, seconds=1, engine=own, executor=pool)


@pytest.mark.parametrize(
    ("knob", "value"), [("nodes", 0), ("faults", "awful"), ("seconds", -1), ("strict", 1), ("executor", 3)]
)
def test_a_trial_that_cannot_be_is_refused(knob: str, value: object) -> None:
    with pytest.raises(ConfigError, match=knob):
        run_campaign(range(1), **{knob: value})  # type: ignore[arg-type]


def test_a_dask_cluster_is_an_executor_too() -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as executor,
    ):
        campaign = run_campaign(range(3), nodes=3, faults="light", seconds=1, executor=executor)
    assert campaign.ok
    assert [row.seed for row in campaign.rows] == [0, 1, 2]


def test_without_an_executor_a_campaign_takes_processes_and_nothing_to_do_takes_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    first = run_campaign(range(2), nodes=3, faults="none", seconds=0.2, path=path)
    again = run_campaign(range(2), nodes=3, faults="none", seconds=0.2, path=path)
    assert first.rows == again.rows
    assert repr(first) == "<campaign of 2 seeds: 0 failed>"
    assert first.events == sum(first.frame["events"])


def test_the_file_of_a_campaign_is_kept_while_it_runs(tmp_path: Path) -> None:
    path, sizes = tmp_path / "rows.parquet", list[bool]()
    run_campaign(
        range(SAVED_EVERY + 1),
        nodes=1,
        faults="none",
        seconds=0.0,
        executor=Serial(),
        path=path,
        progress=lambda _row: sizes.append(path.exists()),
    )
    assert sizes == [False] * (SAVED_EVERY - 1) + [True] * 2


def test_a_failure_is_told_in_a_line() -> None:
    assert str(Failure("log matching", "two logs differ")) == "log matching: two logs differ"


def test_a_draw_is_a_function_of_its_seed_and_of_what_is_steered_to() -> None:
    assert [draw(seed) for seed in range(40)] == [draw(seed) for seed in range(40)]
    assert {draw(seed).method for seed in range(300)} == {name for name, _ in METHODS}
    assert all("snapshots" in draw(seed, ("snapshots",)).chapters for seed in range(20))


def test_draws_turn_every_knob_of_every_chapter_and_are_valid() -> None:
    drawn = [draw(seed) for seed in range(600)]
    drawn += [draw(seed, (chapter,)) for chapter in CHAPTERS for seed in range(150)]
    drawn += [draw(2367)]  # the clients' other calls leave little room for compare-and-set
    turned = {name for one in drawn for name in one.config}
    assert turned >= {name for chapter in CHAPTERS.values() for name in chapter.knobs} | {name for name, _ in EXTREME}
    assert all(one.settings.validated() for one in drawn)
    assert {one.nodes for one in drawn} >= {1, 2, 3, 4, 5, 7}
    assert {one.rules for one in drawn} == {"raft", "advanced"}


def test_no_draw_has_both_lease_reads_and_clocks_that_leases_cannot_stand() -> None:
    wild = [one for one in map(draw, range(600)) if set(one.faults) & set(WILD_CLOCKS)]
    assert wild
    assert all(one.load.lease == 0 for one in wild)


def test_nothing_lives_by_knobs_that_end_liveness_whatever_level_of_faults_is_given() -> None:
    for config in (Config(enable_elect=False), Config(enable_heartbeat=False)):
        assert judged(CampaignSettings(faults="none", config=config).trial(1).draw) == ()
    assert judged(CampaignSettings(faults="none", config=Config()).trial(1).draw) == ("healed", "load")


def test_live_nodes_without_elections_are_not_asked_to_settle() -> None:
    trial = CampaignSettings(config=Config(enable_elect=False)).trial(4)
    assert trial.draw.method == "live"
    assert trial.judge_other() is None


def test_loads_vary_so_that_stale_reads_and_commands_applied_twice_show() -> None:
    loads = [one.load for one in map(draw, range(300)) if one.method in ("faults", "live")]
    assert {one.clients for one in loads} >= {2, 4, 8}
    assert {one.keys for one in loads} >= {1, 2, 3}
    assert any(one.any_node == 0.7 and one.clients == 8 and one.think_time[1] <= 0.05 for one in loads)
    assert any(one.appends and one.deletes and one.incrs for one in loads)


def test_a_campaign_of_no_seeds_is_refused_and_one_without_rows_is_not_ok() -> None:
    with pytest.raises(ConfigError, match="at least one seed"):
        run_campaign([])
    assert not Campaign([]).ok


def test_what_is_given_is_respected_and_the_rest_varies() -> None:
    config, load = Config(keep_logs=0), Load(clients=2)
    trials = [CampaignSettings(nodes=4, config=config, load=load, seconds=1.0).trial(seed).draw for seed in range(30)]
    assert {(one.nodes, one.config["keep_logs"], one.load, one.seconds) for one in trials} == {(4, 0, load, 1.0)}
    assert {one.method for one in trials} == {"faults", "live"}
    assert len({one.chapters for one in trials}) > 5


def test_a_row_tells_what_it_tried_and_reached_and_a_campaign_what_nobody_reached() -> None:
    campaign = run_campaign([3], nodes=3, faults="light", seconds=1, executor=Serial())
    (row,) = campaign.rows
    assert row.drawn.nodes == 3
    assert "elected" in row.situations
    assert set(campaign.missed) == set(SITUATIONS) - set(row.situations)
    reached = campaign.reached.set_index("situation")
    assert (reached.seeds["elected"], reached["first"]["elected"], reached.seeds["snapshot installed"]) == (1, 3, 0)
    assert campaign.frame.situations[0] == row.situations


def test_rare_chapters_are_steered_to() -> None:
    row = Row(seed=1, ok=True, situations=tuple(name for name, one in SITUATIONS.items() if one.chapter != "transfers"))
    assert rare_chapters([]) == ()
    assert rare_chapters([row]) == ("transfers",)


def test_checks_that_a_swapped_rule_replaces_are_left_out_and_named_unless_strict() -> None:
    hasty = run_campaign([0], engine=HASTY, nodes=3, faults="none", seconds=0.1, executor=Serial())
    assert hasty.left_out["durable before request"] == ("waits_for_disk",)
    assert "commits are of the own term" not in hasty.left_out
    strict = run_campaign([0], engine=HASTY, nodes=3, faults="none", seconds=0.1, executor=Serial(), strict=True)
    assert strict.left_out == {}


class Duck:
    """An executor that is none of `concurrent.futures`' own, like Dask's."""

    def __init__(self) -> None:
        self.inner, self.ended = Serial(), False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        return self.inner.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        self.ended = True


def test_anything_with_the_face_of_an_executor_is_one() -> None:
    duck = Duck()
    campaign = run_campaign(range(2), nodes=3, faults="light", seconds=1, executor=duck)
    assert [row.seed for row in campaign.rows] == [0, 1]
    assert not duck.ended


@pytest.mark.parametrize("place", ["missing/rows.parquet", "", "here"])
def test_a_campaign_whose_file_cannot_be_written_is_refused_before_the_first_run(place: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(ConfigError, match="path"):
        run_campaign(
            [1], path=tmp_path / place, executor=Serial(), progress=lambda row: pytest.fail(f"seed {row.seed} was run")
        )


def test_a_file_of_a_campaign_that_was_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    run_campaign([1], nodes=3, faults="light", seconds=1, executor=Serial(), path=path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        with suppress(ConfigError):
            run_campaign([1], nodes=3, faults="light", seconds=1, executor=Serial(), path=path)


async def test_a_serial_campaign_runs_within_a_running_loop_as_a_cell_of_a_notebook_has_one() -> None:
    methods = {draw(seed).method: seed for seed in range(40)}
    seeds = [methods["live"], methods["storage"]]
    campaign = run_campaign(seeds, executor=Serial())
    assert [row.failed for row in campaign.rows] == ["", ""]
    assert asyncio.get_running_loop().is_running()
