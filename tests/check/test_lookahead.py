"""What a campaign checks beyond every simulation: each is seen broken once, and a right Raft breaks none."""

from pyraft_lab.check.checkers import checks_of
from pyraft_lab.check.lookahead import COMMITS_LAST, EVERY_WAIT_ENDS, STATES_AGREE, SameStates
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.check.mutants.code_mutants import CODE_MUTANTS
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.rules import ADVANCED, RAFT
from pyraft_lab.machine import Counter
from pyraft_lab.sim.simulation import Simulation


def names(sim: Simulation) -> set[str]:
    return {violation.name for violation in sim.violations}


def busy(seed: int = 3, **knobs: object) -> Simulation:
    """Three servers with a crash, a restart and some writes, under all checks of a campaign."""
    config = Config(keep_logs=0, snapshot_logs_since_last=5)
    sim = Simulation(3, seed, config=config, checks=checks_of(raft(RAFT), config), **knobs)  # type: ignore[arg-type]
    leader = sim.run_until(lambda s: s.leader)
    assert leader is not None
    away = next(node for node in sim.nodes if node != leader)
    for value in range(12):
        sim.write({"op": "put", "key": "x", "value": value})
        sim.run(0.1)
        if value == 3:
            sim.crash(away)
    sim.restart(away)
    sim.run(1)
    return sim


def test_a_right_raft_passes_all_of_them() -> None:
    sim = busy()
    assert sim.violations == []
    assert sim.fork(sim.now / 2).violations == []


def test_both_tables_are_checked_and_only_the_papers_by_the_specification() -> None:
    assert len(checks_of(raft(RAFT), Config())) == len(checks_of(raft(ADVANCED), Config())) + 1
    assert len(checks_of(raft(RAFT), Config(leader_restore=True))) == len(checks_of(raft(ADVANCED), Config()))


class Forgetful(Counter):
    """A machine whose snapshots lack something."""

    def apply(self, _command: object, /) -> object:
        self.total += 1
        return self.total

    def restore(self, data: bytes, /) -> None:
        super().restore(data)
        self.total -= 1


def test_a_snapshot_that_lacks_something_is_named_when_it_is_restored() -> None:
    assert STATES_AGREE in names(busy(machine=Forgetful))


def test_a_machine_is_compared_across_servers_and_times_and_a_fork_forgets_later_ones() -> None:
    sim = busy(machine=Forgetful)
    early = SameStates().fork(sim.origin)
    assert early.history.states == {}


def test_a_server_that_forgets_its_vote_is_named_at_its_restart() -> None:
    with CODE_MUTANTS["boots-without-its-vote"].edit.applied():
        assert "starts from its disk" in names(busy())


def test_a_follower_without_an_election_timer_is_named() -> None:
    with CODE_MUTANTS["sleeps-after-a-vote"].edit.applied():
        assert EVERY_WAIT_ENDS in names(busy())


def test_a_commit_that_an_election_could_undo_is_named_before_it_is_undone() -> None:
    one = MUTANTS["commits-old-terms"]
    sim = one.simulation()
    again = Simulation(one.nodes, one.seed, engine=one.engine, config=sim.world.setting.config,
                       checks=checks_of(one.engine, Config()))  # fmt: skip
    one.scenario.run(again)
    assert again.violations[0].name == COMMITS_LAST
    right = Simulation(one.nodes, one.seed, config=sim.world.setting.config, checks=checks_of(raft(RAFT), Config()))
    one.scenario.run(right)
    assert right.violations == []
