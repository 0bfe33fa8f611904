"""Liveness: a healed cluster passes, and each thing that does not come right is named."""

from itertools import count

from msgspec.structs import replace

from pyraft_lab.check.liveness import (
    ends_liveness,
    is_settled,
    liveness,
    liveness_bound,
    permits_disruption,
    under_load,
)
from pyraft_lab.check.mutants.code_mutants import CODE_MUTANTS
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.machine import Counter
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.simulation import Simulation


def rested(seed: int = 7, **knobs: object) -> Simulation:
    sim = Simulation(3, seed=seed, **knobs)  # type: ignore[arg-type]
    sim.run(1)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.read("x")
    sim.run(1)
    return sim


def names(sim: Simulation) -> set[str]:
    return {violation.name for violation in liveness(sim)}


def follower(sim: Simulation) -> int:
    return next(node for node in sim.nodes if node != sim.leader)


def test_a_healthy_cluster_is_at_rest_and_is_not_moved_by_the_question() -> None:
    sim = rested()
    events, calls = sim.world.events, len(sim.calls)
    assert liveness(sim) == ()
    assert (sim.world.events, len(sim.calls)) == (events, calls)


def test_patience_is_twenty_of_the_longest_election_timeouts() -> None:
    assert liveness_bound(Config(election_timeout=(0.1, 0.5))) == 10.0


def test_a_cluster_that_elects_nobody_is_named() -> None:
    sim = Simulation(3, config=Config(enable_elect=False))
    sim.run(1)
    sim.write({"op": "put", "key": "x", "value": 1})
    assert names(sim) == {"a leader in the end", "answered in the end"}


def test_a_lease_read_is_answered_with_and_without_vote_leases() -> None:
    for vote_lease in (False, True):
        sim = rested(config=Config(vote_lease=vote_lease))
        waiting = sim.read("x", policy="lease", client=9)
        sim.run(1)
        assert waiting.done
        assert (liveness(sim), under_load(sim)) == ((), ())


def test_knobs_that_end_liveness_are_elections_and_heartbeats() -> None:
    ended = [Config(enable_elect=False), Config(enable_heartbeat=False), Config(pre_vote=False), Config()]
    assert [ends_liveness(config) for config in ended] == [True, True, False, False]


def test_a_member_that_is_down_or_was_never_there_is_named() -> None:
    sim = rested()
    sim.crash(follower(sim))
    assert names(sim) == {"everybody up in the end"}


def test_a_member_that_nothing_reaches_is_named() -> None:
    sim = rested()
    lonely = follower(sim)
    sim.partition({lonely}, set(sim.nodes) - {lonely})
    sim.write({"op": "put", "key": "x", "value": 2})
    sim.run(1)
    assert names(sim) == {"one leader in the end", "agreement in the end"}


def test_a_joint_membership_that_nobody_ends_is_named() -> None:
    sim = rested(config=Config(auto_leave=False))
    sim.change_membership({1, 2})
    sim.run(1)
    assert names(sim) == set()
    stuck = rested(rules=replace(RAFT, may_leave=lambda _state, _leader: False))
    stuck.change_membership({1, 2})
    stuck.run(1)
    assert names(stuck) >= {"no joint membership in the end"}


def test_a_membership_that_is_not_committed_is_named() -> None:
    sim = rested(config=Config(check_quorum=False))
    assert sim.leader
    sim.partition({sim.leader})
    sim.change_membership({1, 2})
    sim.run(0.03)
    assert "no joint membership in the end" in names(sim)


def test_a_leader_that_commits_nothing_any_more_is_named() -> None:
    sim = rested()
    assert sim.leader
    for node in sim.nodes:
        sim.break_disk(node, slow=10_000)
    assert names(sim) == {"answers in the end", "answered in the end"}


def test_a_leader_that_is_deposed_for_no_reason_is_named() -> None:
    sim = rested(config=Config(pre_vote=False, vote_lease=False))
    assert sim.leader
    sim.drift(follower(sim), 10.0)
    assert names(sim) >= {"a leader that stays"}


def test_a_second_leader_is_named() -> None:
    sim = rested(config=Config(check_quorum=False))
    deposed = sim.leader or 0
    sim.partition({deposed}, set(sim.nodes) - {deposed})
    sim.run_until(lambda s: s.leader not in (None, deposed))
    assert "one leader in the end" in names(sim)
    assert f"node {deposed} leads in term 1, beside node {sim.leader}" in " ".join(one.what for one in liveness(sim))


def test_a_leader_that_leads_without_being_a_member_is_named() -> None:
    sim = rested()
    removed = sim.leader or 0
    sim.change_membership(set(sim.nodes) - {removed})
    sim.run_until(lambda s: s.leader == removed and removed not in s.nodes[removed].membership.nodes)
    assert f"node {removed} leads a cluster that it was removed from" in [one.what for one in liveness(sim)]


class Biased(Counter):
    """A machine that is not a function of its log."""

    made = count()

    def __init__(self) -> None:
        super().__init__()
        self.total = next(self.made)


def test_machines_that_differ_after_the_same_log_are_named() -> None:
    sim = Simulation(3, seed=7, machine=Biased)
    sim.run(1)
    assert any(one.what.startswith("the machines of node ") for one in liveness(sim))


def overtaken() -> Simulation:
    """A cluster that builds a snapshot every few writes, and needs longer than several of them to send one."""
    often = Config(snapshot_logs_since_last=10, keep_logs=0, snapshot_chunk=8)
    slow = Weather(latency=(0.02, 0.03))
    return rested(config=often, weather=slow)


def names_under_load(sim: Simulation) -> set[str]:
    return {violation.name for violation in under_load(sim)}


def test_a_follower_that_comes_back_catches_up_while_clients_go_on_writing() -> None:
    sim = rested()
    events = sim.world.events
    assert under_load(sim) == ()
    assert sim.world.events == events


def test_a_snapshot_arrives_although_newer_ones_are_built_all_the_time() -> None:
    assert under_load(overtaken()) == ()


def test_a_follower_that_never_gets_its_snapshot_is_named_under_load_though_it_would_come_right_at_rest() -> None:
    sim = overtaken().fork(rules=replace(RAFT, would_interrupt_transfer=lambda _state: False))
    assert names_under_load(sim) == {"keeps up under load"}
    assert names(sim) == set()


def test_what_is_slow_under_load_is_named() -> None:
    sim = rested()
    stuck = follower(sim)
    sim.partition({stuck}, set(sim.nodes) - {stuck})
    assert names_under_load(sim) == {"keeps up under load"}
    sim = rested()
    for node in sim.nodes:
        sim.break_disk(node, slow=300)
    assert "answers under load" in names_under_load(sim)


def test_a_sync_that_began_on_a_slow_disk_ends_before_writes_are_timed() -> None:
    sim = Simulation(1, seed=7)
    sim.run(1)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(1)
    sim.break_disk(1, slow=20_000)
    sim.write({"op": "put", "key": "x", "value": 2})
    sim.run(0.01)
    sim.mend_disk(1)
    assert sim.world.nodes[1].busy > sim.world.now
    assert under_load(sim) == ()


def test_a_leader_that_does_not_stay_under_load_is_named() -> None:
    sim = rested()
    leader = sim.leader
    assert leader is not None
    sim.partition({leader}, set(sim.nodes) - {leader})
    assert "a leader that stays" in names_under_load(sim)


def test_a_cluster_that_can_spare_nobody_is_not_robbed_of_its_quorum() -> None:
    sim = Simulation(2, seed=7)
    sim.run(1)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(1)
    assert under_load(sim) == ()


def test_where_nobody_has_written_or_nobody_leads_there_is_nothing_to_ask() -> None:
    assert under_load(Simulation(3, seed=7)) == ()
    sim = Simulation(1, seed=7)
    sim.run(1)
    assert under_load(sim) == ()
    sim.write({"op": "put", "key": "x", "value": 1})
    assert under_load(sim) == ()


def test_a_sync_that_began_on_a_slow_disk_ends_before_anything_is_judged() -> None:
    sim = rested()
    followers = [node for node in sim.nodes if node != sim.leader]
    for node in followers:
        sim.break_disk(node, slow=3000.0)
    sim.write({"op": "put", "key": "x", "value": 2})
    sim.run(0.5)
    for node in followers:
        sim.mend_disk(node)
    assert {name for name, _ in is_settled(sim)} == {"answered in the end"}
    assert (liveness(sim), under_load(sim)) == ((), ())


def test_after_a_late_sync_a_cluster_has_its_time_again() -> None:
    sim = rested(seed=21)
    leader, others = sim.leader, [node for node in sim.nodes if node != sim.leader]
    assert leader is not None
    for node in others:
        sim.break_disk(node, slow=8000)
    sim.crash(leader)
    sim.run(0.5)  # candidates: their votes are on their way to the disk
    for node in others:
        sim.mend_disk(node)
    sim.restart(leader)
    sim.run(liveness_bound(sim.nodes[leader].state.config))
    assert any(is_settled(sim)), "the votes are not yet on disk"
    assert names(sim) == set()


def test_what_goes_in_tiny_pieces_is_carried_before_anything_is_judged() -> None:
    tiny = Config(max_append_entries=1, max_inflight=1)
    sim = rested(config=tiny, weather=Weather(latency=(0.04, 0.04)))
    behind = follower(sim)
    sim.crash(behind)
    for value in range(300):
        sim.write({"op": "put", "key": "x", "value": value}, client=2 + value)
    sim.run(30)
    sim.restart(behind)
    sim.run(liveness_bound(tiny))
    assert any(is_settled(sim)), "it lacks a part of the log"
    assert names(sim) == set()


def test_an_operator_who_still_waits_may_move_leadership_and_membership_under_load() -> None:
    for ask in (Simulation.transfer, lambda sim, node: sim.change_membership(set(sim.nodes) - {node})):
        sim = rested()
        ask(sim, max(node for node in sim.nodes if node != sim.leader))
        assert under_load(sim) == ()


def test_a_lease_that_ends_before_the_next_answers_protects_no_leader() -> None:
    slow, far = Config(pre_vote=False, heartbeat_interval=0.1), Weather(latency=(0.01, 0.04))
    assert permits_disruption(slow, far)
    assert not permits_disruption(slow)
    assert not permits_disruption(replace(slow, pre_vote=True), far)
    assert permits_disruption(Config(pre_vote=False, vote_lease=False))


def test_a_pre_vote_that_passes_over_leases_deposes_a_leader_at_rest() -> None:
    with CODE_MUTANTS["pre-votes-without-lease"].edit.applied():
        assert names(rested()) == {"a leader that stays"}


def test_a_log_that_grows_without_limit_is_named() -> None:
    for mutant in ("never-purges", "builds-once"):
        with CODE_MUTANTS[mutant].edit.applied():
            sim = rested(config=Config(keep_logs=0, snapshot_logs_since_last=2))
            for value in range(6):
                sim.write({"op": "put", "key": "x", "value": value})
                sim.run(0.2)
            assert names(sim) == {"logs are compacted in the end"}
