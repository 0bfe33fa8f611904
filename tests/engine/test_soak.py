"""Whole clusters in bad weather: safe at every step, and alive when it is over (dissertation §8.2; invariants)."""

import random

import pytest
from msgspec.structs import replace

from pyraft_lab.engine import rules as decisions
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules
from tests.engine.driver import Weather
from tests.engine.storm import Storm

LONG = 4.0
"""Seconds of storm."""


def storm(seed: int, *, rules: Rules = RAFT, weather: Weather | None = None, **knobs: object) -> Storm:
    """A cluster whose size, knobs and weather are drawn from the seed."""
    draw = random.Random(seed)
    config = Config(
        snapshot_logs_since_last=50,
        keep_logs=10,
        snapshot_chunk=draw.choice([13, 40, 1000]),
        pre_vote=draw.random() < 0.6,
        check_quorum=draw.random() < 0.6,
        suppress_heartbeats=draw.random() < 0.3,
        max_append_entries=draw.choice([2, 5, 300]),
        max_inflight=draw.choice([2, 8, 64]),
        prompt_commit=draw.random() < 0.7,
        auto_leave=draw.random() < 0.7,
        read_sends_heartbeat=draw.random() < 0.7,
        purge_batch=draw.choice([1, 20]),
    )
    drawn = Weather(
        loss=draw.choice([0.0, 0.05, 0.2]),
        duplicate=draw.choice([0.0, 0.05]),
        elect=draw.random() < 0.5,
        slow_disk=draw.choice([0.001, 0.01, 0.05]),
    )
    return Storm(
        seed,
        nodes=draw.choice([3, 5, 5, 7]),
        config=replace(config, **knobs).validated(),
        weather=weather or drawn,
        rules=rules,
    )


def recovers(cluster: Storm) -> None:
    """Once the storm is over there is one leader, and every member soon has what it has."""
    cluster.heal()
    cluster.run(6.0)
    assert len(cluster.leaders) == 1
    leader = cluster.nodes[cluster.leaders[0]].state
    assert leader.committed >= leader.log.last.index - 2
    assert all(cluster.nodes[member].state.committed >= leader.committed - 2 for member in leader.membership)
    assert not (leader.membership.is_joint and cluster.config.auto_leave)


@pytest.mark.row("FZ-01", "FZ-02", "CP-17", "NF-01", "NF-02", "NF-05", "SN-31", "SN-32", "RD-19")
@pytest.mark.parametrize("seed", range(24))
def test_whatever_the_weather_nothing_is_lost_and_the_cluster_recovers(seed: int) -> None:
    cluster = storm(seed)
    cluster.run(LONG)
    recovers(cluster)
    assert cluster.answers["Accepted"] > 20
    assert cluster.answers["read"] > 20


@pytest.mark.row("EL-27", "FZ-01")
@pytest.mark.parametrize("seed", range(100, 106))
def test_so_it_is_with_votes_in_a_total_order(seed: int) -> None:
    cluster = storm(seed, rules=ADVANCED)
    cluster.run(LONG)
    recovers(cluster)


@pytest.mark.row("CP-14", "CP-28", "CP-29")
@pytest.mark.parametrize("seed", range(200, 208))
def test_so_it_is_with_leaders_that_resume_their_term(seed: int) -> None:
    cluster = storm(seed, leader_restore=True)
    cluster.run(LONG)
    recovers(cluster)


# The witness is awake: break a decision, and some seed shows it


BROKEN = {
    "promises before the disk": replace(RAFT, waits_for_disk=lambda _state, _message: False),
    "votes for anybody": replace(RAFT, vote_refusal=lambda _state, _request: None),
    "reads without a round": replace(RAFT, is_read_safe=lambda _leader, _round: True),
    "leases without end": replace(RAFT, has_valid_lease=lambda state: decisions.is_read_safe(state.role, 1)),
    "one vote is enough": replace(RAFT, has_won=lambda _membership, granted: bool(granted)),
}


@pytest.mark.row("FZ-08")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_does_not_survive_the_storm(name: str) -> None:
    broken = []
    for seed in range(40):
        cluster = storm(seed, rules=BROKEN[name], weather=Weather(loss=0.1), check_quorum=False)
        try:
            cluster.run(LONG)
        except AssertionError as violation:
            broken.append(str(violation))
            break
    assert broken
