"""Each of the paper's five properties is violated where it should be, and nowhere else."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer import explore
from pyraft_lab.check.explore.explorer_state import ExplorerState, cluster
from pyraft_lab.check.explore.history_variables import HistoryVariables, check_facts
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.events import Event, Propose
from pyraft_lab.engine.log import Entry, Log, Noop, Normal
from pyraft_lab.engine.rules import ADVANCED, RAFT
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.types import LogId
from pyraft_lab.sim.facts import (
    Committed,
    Cut,
    Elected,
    Forgotten,
    Restored,
    Stopped,
    Truncated,
    Uncommitted,
    facts_of,
)
from pyraft_lab.sim.safety import (
    COMMIT_STAYS,
    ELECTION_SAFETY,
    LEADER_APPEND_ONLY,
    LEADER_COMPLETENESS,
    LOG_MATCHING,
    NOTHING_IMPOSSIBLE,
    SNAPSHOT_COVERS,
    STATE_MACHINE_SAFETY,
    logs_match,
)
from tests.sim.test_safety import stormy


def entry(term: int, index: int, data: bytes = b"") -> Entry:
    return Entry(LogId(term, 1, index), Normal(data) if data else Noop())


def log(*terms: int) -> Log:
    return Log().append([entry(term, index) for index, term in enumerate(terms, 1)])


PAST = HistoryVariables(frozenset({(1, 1)}), (entry(1, 1), entry(1, 2)), ((1, 1), (1, 1)))


def test_a_term_has_one_leader() -> None:
    assert check_facts(PAST, (Elected((1, 2), log(1, 1)),)).broken == ELECTION_SAFETY
    assert not check_facts(PAST, (Elected((1, 1), log(1, 1)),)).broken
    assert not check_facts(PAST, (Elected((1, 2), log(1, 1)),), one_a_term=False).broken


def test_a_later_leader_has_all_that_was_committed_and_an_earlier_one_need_not() -> None:
    assert check_facts(PAST, (Elected((2, 2), log(1)),)).broken == LEADER_COMPLETENESS
    assert check_facts(PAST, (Elected((2, 2), log(1, 2)),)).broken == LEADER_COMPLETENESS
    assert not check_facts(PAST, (Elected((2, 2), log(1, 1, 2)),)).broken
    assert not check_facts(PAST, (Elected((2, 2), log(1, 1, 1).purge(LogId(1, 1, 2))),)).broken
    assert not check_facts(PAST, (Elected((0, 2), log(0)),)).broken


def test_what_is_committed_stays_so() -> None:
    assert check_facts(PAST, (Committed(2, (2, 2), (entry(1, 1), entry(2, 2))),)).broken == STATE_MACHINE_SAFETY
    assert check_facts(PAST, (Committed(2, (2, 2), (entry(1, 1), entry(1, 2, b"x"))),)).broken == STATE_MACHINE_SAFETY
    later = check_facts(PAST, (Committed(2, (2, 2), (entry(1, 2), entry(2, 3))),))
    assert not later.broken
    assert (later.history.committed[2], later.history.by[2]) == (entry(2, 3), (2, 2))


def test_a_snapshot_holds_what_was_committed() -> None:
    known = HistoryVariables(start=LogId(1, 1, 5))
    assert not check_facts(known, (Restored(1, LogId(1, 1, 5)),)).broken
    assert not check_facts(known, (Restored(1, LogId(1, 1, 4)),)).broken
    assert check_facts(known, (Restored(1, LogId(1, 1, 6)),)).broken == STATE_MACHINE_SAFETY
    assert check_facts(known, (Restored(1, LogId(2, 1, 5)),)).broken == STATE_MACHINE_SAFETY


def test_a_leader_keeps_its_entries_and_nobody_stops() -> None:
    assert check_facts(PAST, (Cut(1),)).broken == LEADER_APPEND_ONLY
    assert check_facts(PAST, (Stopped(1, "why"),)).broken == NOTHING_IMPOSSIBLE
    assert not check_facts(PAST, (Truncated(),)).broken


def test_logs_match_up_to_the_last_entry_they_share() -> None:
    assert logs_match(log(1, 1, 2), log(1, 1, 3))
    assert logs_match(log(1, 1, 2), log(1, 1))
    assert not logs_match(log(1, 1, 3), log(1, 2, 3))
    assert not logs_match(log(1, 1), Log().append([entry(1, 1, b"x"), entry(1, 2)]))
    assert logs_match(log(1, 1, 3).purge(LogId(1, 1, 1)), log(1, 1, 3))


def test_a_follower_that_takes_entries_after_a_gap_of_agreement_breaks_log_matching() -> None:
    engine = raft(replace(RAFT, log_matches=lambda log, prev: prev.index <= log.last.index))
    world = cluster(3, engine=engine)
    for leader, term in ((1, 1), (2, 2)):
        report = explore(world, engine=engine, goal=leads(leader, term))
        assert report.reached is not None
        world = report.reached.quiet()
    report = explore(world, engine=engine, bounds=Bounds(timeouts=1, crashes=1))
    assert report.broken == LOG_MATCHING
    assert LOG_MATCHING in {violation.name for violation in report.simulation().violations}


def leads(leader: int, term: int) -> Callable[[ExplorerState], bool]:
    return lambda world: leader in world.leaders and world[leader].state.term == term


class Overwrites(Engine, frozen=True):
    """A leader that makes room for a write by removing an entry of its own."""

    def step(self, state: RaftState, event: Event) -> Step:
        done = super().step(state, event)
        if not isinstance(event, Propose):
            return done
        disk = replace(done.after.disk, log=state.log.truncate(state.log.last.index - 1))
        return replace(done, after=replace(done.after, disk=disk), commands=())


def test_a_leader_that_overwrites_is_caught_in_the_act() -> None:
    report = explore(3, engine=Overwrites(), bounds=Bounds(writes=1))
    assert (report.broken, len(report.path)) == (LEADER_APPEND_ONLY, 4)


def test_ordered_votes_let_a_greater_node_lead_within_the_term() -> None:
    report = explore(2, engine=raft(ADVANCED), bounds=Bounds(timeouts=2, terms=1))
    assert report.exhausted
    assert not report.broken


PROPERTIES = {
    *(ELECTION_SAFETY, LEADER_APPEND_ONLY, LEADER_COMPLETENESS, STATE_MACHINE_SAFETY),
    *(COMMIT_STAYS, SNAPSHOT_COVERS, NOTHING_IMPOSSIBLE),
}


def test_no_commit_is_taken_back_and_nothing_is_forgotten_that_no_snapshot_has() -> None:
    assert check_facts(PAST, (Uncommitted(1, before=2, after=1),)).broken == COMMIT_STAYS
    assert check_facts(PAST, (Forgotten(1, LogId(1, 1, 2)),)).broken == SNAPSHOT_COVERS


FALLEN = {
    "half-elects": ELECTION_SAFETY,
    "ignores-logs": LEADER_COMPLETENESS,
    "commits-what-it-has": STATE_MACHINE_SAFETY,
    "installs-any-snapshot": COMMIT_STAYS,
    "forgets-applied": SNAPSHOT_COVERS,
    "writes-again": NOTHING_IMPOSSIBLE,
}


@pytest.mark.parametrize(("mutant", "name"), FALLEN.items())
def test_a_run_and_the_explorer_judge_alike(mutant: str, name: str) -> None:
    sim, past, found = MUTANTS[mutant].attempt(MUTANTS[mutant].seed), HistoryVariables(), set[str]()
    for record in sim.trace.records:
        if record.step is not None:
            past, broken = check_facts(past, facts_of(record.step))
            found |= {broken} - {""}
    assert found == PROPERTIES & {violation.name for violation in sim.violations} == {name}


def test_neither_accuses_raft() -> None:
    sim, past = stormy(1), HistoryVariables()
    for record in sim.trace.records:
        if record.step is not None:
            past, broken = check_facts(past, facts_of(record.step))
            assert not broken
    assert not sim.violations
    assert len(past.committed) > 10
