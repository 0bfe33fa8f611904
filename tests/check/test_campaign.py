"""Campaigns: right Raft survives, wrong Raft is named with a capsule; any executor; interrupted ones go on."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from pyraft_lab.check.campaign import SAVED_EVERY, Row, run_campaign
from pyraft_lab.check.failure import Failure, failure
from pyraft_lab.check.mutants.faulty_rules import accepts_before_disk
from pyraft_lab.concurrency import Serial
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules
from pyraft_lab.errors import ConfigError
from pyraft_lab.sim.simulation import Simulation

HASTY = raft(replace(RAFT, waits_for_disk=accepts_before_disk))


@pytest.mark.parametrize("rules", [RAFT, ADVANCED], ids=["raft", "advanced"])
def test_right_rules_survive_heavy_faults(rules: Rules) -> None:
    campaign = run_campaign(range(2), engine=raft(rules), seconds=5, executor=Serial())
    assert campaign.ok
    assert campaign.failures == ()
    frame = campaign.frame
    assert list(frame.seed) == [0, 1]
    assert frame.ok.all()
    assert (frame.answered > 20).all()
    assert (frame.elections >= 1).all()


def test_a_failure_names_what_fell_and_brings_its_capsule() -> None:
    campaign = run_campaign(range(4), engine=HASTY, seconds=5, executor=Serial())
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
    with pytest.raises(ConfigError, match="is no campaign's file"):
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


@pytest.mark.parametrize(("knob", "value"), [("nodes", 0), ("faults", "awful"), ("seconds", -1)])
def test_a_trial_that_cannot_be_is_refused(knob: str, value: object) -> None:
    with pytest.raises(ConfigError, match=knob):
        run_campaign(range(1), **{knob: value})  # type: ignore[arg-type]


def test_a_dask_cluster_is_an_executor_too() -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
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
