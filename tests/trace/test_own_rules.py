"""Every rule of the table, swapped: story, label, why not and the Lab tell what that rule said."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Command, Send
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.consult import names_of, rules_of
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.events import Event
from pyraft_lab.engine.log import Log
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import VoteResponse
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules, VoteRefusal
from pyraft_lab.engine.state import PreCandidate, RaftState, Step
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.lab.decision import decisions
from pyraft_lab.lab.recording import Recorded, Simulated
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.annotate.own import PREFIX
from pyraft_lab.trace.annotate.table import RULES, remarks, rule
from pyraft_lab.trace.files import Reader, Writer
from pyraft_lab.trace.record import Record, record_step
from pyraft_lab.trace.trace import Trace

EVENTFUL = Config(snapshot_logs_since_last=8, keep_logs=0, snapshot_chunk=16)


def no(*_: Any) -> bool:
    return False


def yes(*_: Any) -> bool:
    return True


def nothing(*_: Any) -> int:
    return 0


def behind(*_: Any) -> VoteRefusal:
    return VoteRefusal.LOG


def anybody(*_: Any) -> None:
    return None


def a_term_too_high(vote: Vote) -> Vote:
    return Vote(vote.term + 1)


def all_of_it(_log: Log, entries: Any) -> Any:
    return entries


def the_start(*_: Any) -> LogId:
    return LogId()


def everything(state: Any, *_: Any) -> int:
    return int(state.log.last.index)


def as_before(state: Any, *_: Any) -> int:
    return int(state.committed)


def at_once(_membership: Membership, _change: Any, _retain: Any) -> Membership:
    return Membership.of({1, 2})


SWAPS: dict[str, tuple[tuple[Callable[..., Any], str], ...]] = {
    "supersedes": ((no, "no (Raft's own: yes)"),),
    "adopted_vote": ((a_term_too_high, "term 2, nobody (Raft's own: term 1, nobody)"),),
    "vote_refusal": ((behind, "no, the candidate's log is behind (Raft's own: yes)"),),
    "pre_vote_refusal": ((behind, "no, the candidate's log is behind (Raft's own: yes)"),),
    "may_campaign": ((no, "no (Raft's own: yes)"),),
    "answers_vote": ((no, "no (Raft's own: yes)"),),
    "has_won": ((yes, "yes (Raft's own: no)"), (no, "no (Raft's own: yes)")),
    "log_matches": ((no, "no (Raft's own: yes)"), (yes, "yes (Raft's own: no)")),
    "new_entries": ((all_of_it, " (Raft's own: none)"),),
    "conflict_hint": ((the_start, "the start of the log (Raft's own: entry "),),
    "next_probe": ((nothing, "0 (Raft's own: "),),
    "commit_index": ((as_before, " (Raft's own: "), (everything, " (Raft's own: ")),
    "follower_commit": ((as_before, " (Raft's own: "),),
    "sendable": ((nothing, "0 (Raft's own: "),),
    "waits_for_disk": ((no, "no (Raft's own: yes)"),),
    "acked_round": ((nothing, "0 (Raft's own: "),),
    "starts_lease": ((yes, "yes (Raft's own: no)"),),
    "starts_with_vote_lease": ((no, "no (Raft's own: yes)"),),
    "is_read_safe": ((yes, "yes (Raft's own: no)"),),
    "has_valid_lease": ((no, "no (Raft's own: yes)"),),
    "fires_first": ((lambda *_: (), "none (Raft's own: the lease timer)"),),
    "read_at": ((lambda *_: 1, "1 (Raft's own: "),),
    "may_change": ((no, "no (Raft's own: yes)"),),
    "next_membership": ((at_once, "{1,2} (Raft's own: {1,2,3} learners 4)"),),
    "may_leave": ((no, "no (Raft's own: yes)"),),
    "is_snapshot_due": ((yes, "yes (Raft's own: no)"), (no, "no (Raft's own: yes)")),
    "would_interrupt_transfer": ((yes, "yes (Raft's own: no)"),),
    "purge_upto": ((nothing, "0 (Raft's own: "),),
    "purge_limit": ((nothing, "0 (Raft's own: "),),
    "is_snapshot_useful": ((no, "no (Raft's own: yes)"),),
}
"""For every rule: what stands in its place, and what the story says that it said."""
CASES = [
    pytest.param(name, swapped, said, id=f"{name}-{place}")
    for name, swaps in SWAPS.items()
    for place, (swapped, said) in enumerate(swaps)
]


@cache
def eventful(fires_late: bool = False) -> tuple[Record, ...]:  # noqa: FBT001, FBT002
    """All that can happen to a small cluster, one thing after the other."""
    rules = replace(RAFT, fires_first=SWAPS["fires_first"][0][0]) if fires_late else RAFT
    sim = Simulation(nodes=3, seed=5, config=EVENTFUL, rules=rules, checks=())
    leader = sim.run_until(lambda one: one.leader) or 0
    away, other = sorted(set(sim.nodes) - {leader})
    sim.run(0.3)
    sim.read("x", policy="lease")
    sim.read("x")
    sim.run(0.1)
    sim.crash(away)
    sim.write({"op": "put", "key": "x", "value": -1}, to=leader)
    sim.transfer(other)
    sim.run(0.3)
    leader, other = other, leader
    sim.restart(away)
    sim.run(0.5)
    sim.crash(away)
    for value in range(14):
        sim.write({"op": "put", "key": "x", "value": value}, to=leader)
        sim.run(0.05)
    sim.restart(away)
    sim.run(2.0)
    sim.add_node(4)
    sim.add_learner(4)
    sim.run(0.5)
    sim.change_membership({leader, other, 4})
    sim.run(0.5)
    sim.pause(leader)
    sim.run(0.02)
    sim.write({"op": "put", "key": "y", "value": 1}, to=other)
    sim.run(2.0)
    sim.resume(leader, late=0.2)
    sim.read("x", to=leader, policy="lease")
    sim.run(1.0)
    return sim.trace.records


def under(rules: Rules) -> Iterator[Record]:
    """The same events again, each in the state in which it came, under other rules."""
    engine = raft(rules)
    for record in eventful(rules.fires_first is not RAFT.fires_first):
        with suppress(AssertionError):  # a rule may break a log, which no step survives
            if record.step is not None:
                again = engine.step(record.step.before, record.step.event)
                yield record_step(replace(again, overdue=record.step.overdue), id=0, time=record.time)


@cache
def departed(name: str, swapped: Callable[..., Any]) -> Record:
    """The first record in which the swapped rule made a difference that is told."""
    label = f"this run's rule: {name}"
    for record in under(replace(RAFT, **{name: swapped})):
        if record.step is not None and label in {one.rule.label for one in remarks(record.step)}:
            return record
    raise AssertionError(f"{name} never made a difference")


def test_every_rule_is_swapped_here() -> None:
    assert set(SWAPS) == set(Rules.__struct_fields__)


@pytest.mark.parametrize(("name", "swapped", "said"), CASES)
def test_the_story_tells_what_the_runs_own_rule_said(name: str, swapped: Callable[..., Any], said: str) -> None:
    told = str(departed(name, swapped))
    assert f"this run's rule {name}" in told
    assert said in told


@pytest.mark.parametrize(("name", "swapped", "said"), CASES)
def test_the_label_says_it_without_a_sentence(name: str, swapped: Callable[..., Any], said: str) -> None:
    step = departed(name, swapped).step
    assert step is not None, said
    expected = {"vote_refusal": "vote refused: log", "pre_vote_refusal": "pre-vote refused: log"}
    assert rule(step).label == expected.get(name, f"this run's rule: {name}")
    assert Trace([departed(name, swapped)]).events.rule.iloc[0] == rule(step).label


@pytest.mark.parametrize(("name", "swapped", "said"), CASES)
def test_why_not_tells_what_the_runs_own_rule_said(name: str, swapped: Callable[..., Any], said: str) -> None:
    answer = "\n".join(Trace([departed(name, swapped)]).why_not(leader=1, term=99).reasons)
    assert f"this run's rule {name}" in answer
    assert said in answer


@pytest.mark.parametrize(("name", "swapped", "said"), CASES)
def test_the_inspector_shows_the_runs_own_rule(name: str, swapped: Callable[..., Any], said: str) -> None:
    chunk = Recorded(Trace([departed(name, swapped)])).chunk(0)
    event = chunk.events[0]
    assert said in event.text
    if isinstance(event.rule, str) and event.rule.startswith("this run's rule"):
        code = getattr(swapped, "__name__", "")
        assert code == "<lambda>" or f"def {code}" in "\n".join(chunk.rules[event.rule].lines)
        assert event.ran or name == "fires_first", "a driver asks that rule, not the step"


def test_raft_and_advanced_are_told_without_a_word_of_own_rules() -> None:
    for rules in (RAFT, ADVANCED):
        sim = Simulation(nodes=5, seed=4, rules=rules, checks=())
        sim.run(2.0)
        assert "this run's rule" not in sim.trace.story()
        assert set(sim.trace.events.rule.dropna()) <= set(RULES)


def test_a_rule_that_says_the_same_as_rafts_own_is_not_named() -> None:
    same = replace(RAFT, vote_refusal=partial(RAFT.vote_refusal))
    sim, own = Simulation(nodes=3, seed=7, checks=()), Simulation(nodes=3, seed=7, rules=same, checks=())
    sim.run(1.0)
    own.run(1.0)
    assert own.trace.story() == sim.trace.story()


def test_coverage_counts_the_runs_own_rules_beside_those_of_raft() -> None:
    found = Trace([departed("commit_index", as_before)]).coverage()
    assert found.counts["this run's rule: commit_index"] == 1
    assert str(found).endswith("1  this run's rule: commit_index")
    assert "| 1 | this run's rule: commit_index |" in found._repr_markdown_()
    assert "this run's rule" not in str(Trace([]).coverage())


def suspicious(state: Any, request: Any) -> VoteRefusal | None:
    return VoteRefusal.LOG if request.vote.node == 1 else RAFT.vote_refusal(state, request)


def suspicious_run() -> Simulation:
    sim = Simulation(nodes=3, seed=7, rules=replace(RAFT, vote_refusal=suspicious), checks=())
    sim.run(2.0)
    return sim


def test_why_a_vote_was_not_given_is_what_the_runs_own_rule_said() -> None:
    answer = suspicious_run().trace.why_not(vote=(2, 1)).answer
    assert "n2 did not vote for n1" in answer
    assert (
        "this run's rule vote_refusal (suspicious) says: no, the candidate's log is behind (Raft's own: yes)" in answer
    )


def test_why_it_leads_names_the_rule_that_let_it() -> None:
    sim = Simulation(nodes=3, seed=7, rules=replace(RAFT, has_won=yes, commit_index=as_before), checks=())
    sim.run(0.4)
    assert any("this run's rule has_won (yes) says: yes" in one for one in sim.trace.why(leader=sim.leader).reasons)
    told = sim.trace.why_not(committed=2)
    assert told.answer.endswith("hold it: the leader's rule for that is not Raft's own.")
    assert any("this run's rule commit_index (as_before) says: 0" in one for one in told.reasons)


def test_why_it_never_led_is_that_it_may_not_campaign() -> None:
    rules = replace(RAFT, may_campaign=lambda state: state.id != 1 and RAFT.may_campaign(state))
    sim = Simulation(nodes=3, seed=7, rules=rules, checks=())
    sim.run(1.0)
    assert "n1 does not campaign: this run's rule for that is not Raft's own." in sim.trace.why_not(leader=1).reasons
    assert "n1 times out, but does not campaign; this run's rule may_campaign says: no" in sim.trace.story()


def test_a_vote_against_rafts_own_rule_is_not_explained_by_it() -> None:
    sim = Simulation(nodes=3, seed=7, rules=replace(RAFT, vote_refusal=anybody, pre_vote_refusal=anybody), checks=())
    leader = sim.run_until(lambda one: one.leader) or 0
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.2)
    other = min(set(sim.nodes) - {leader})
    sim.elect(other)
    sim.run(0.1)
    assert any("though Raft's own rule would have refused" in one for one in sim.trace.why(leader=other).reasons)


def test_a_saved_trace_names_its_rules_and_says_where_they_decided(tmp_path: Path) -> None:
    sim = suspicious_run()
    loaded = Trace.load(sim.trace.save(tmp_path / "run.jsonl"))
    assert "this run's rule vote_refusal (suspicious) decided that, not Raft's own" in loaded.story()
    assert "this run's rule: vote_refusal" in set(loaded.events.rule)
    assert loaded.digest() == sim.trace.digest()
    assert {rules_of(record.step).supersedes for record in loaded.records if record.step} == {RAFT.supersedes}


def test_a_saved_trace_of_openrafts_rules_has_them_again(tmp_path: Path) -> None:
    sim = Simulation(nodes=3, seed=7, rules=ADVANCED, checks=())
    sim.run(0.5)
    loaded = Trace.load(sim.trace.save(tmp_path / "run.jsonl"))
    assert loaded.records == sim.trace.records


def test_rules_that_change_in_the_middle_of_a_run_are_told_from_then_on(tmp_path: Path) -> None:
    sim = suspicious_run()
    other = sim.fork(rules=RAFT)
    other.run(1.0)
    loaded = Trace.load(other.trace.save(tmp_path / "run.jsonl"))
    assert rules_of(loaded.records[-1].step or one_step()) is RAFT
    assert names_of(rules_of(loaded.records[10].step or one_step())) == {"vote_refusal": "suspicious"}


def one_step() -> Step:
    raise AssertionError("the record has a step")


def test_a_digest_is_of_what_happened_whatever_the_rules_are_called() -> None:
    same = replace(RAFT, vote_refusal=partial(RAFT.vote_refusal))
    runs = [Simulation(nodes=3, seed=7, rules=rules, checks=()) for rules in (RAFT, same)]
    for one in runs:
        one.run(0.5)
    assert runs[0].trace.digest() == runs[1].trace.digest()


def test_a_sentence_is_made_when_it_is_read() -> None:
    elected = [remark for remark in remarks(departed("has_won", yes).step or one_step()) if callable(remark.tell)]
    assert elected
    assert all(remark.text == remark.tell() for remark in elected if callable(remark.tell))


def test_a_reader_that_begins_in_the_middle_knows_the_rules_from_the_first_state_on() -> None:
    sim = suspicious_run()
    sim.crash(2)
    sim.restart(2)
    writer, reader = Writer(), Reader()
    lines = [writer.line(record) for record in sim.trace.records]
    restarted = reader.record(lines[-1])
    assert names_of(rules_of(restarted.step or one_step())) == {"vote_refusal": "suspicious"}


def test_the_lab_says_that_another_rule_decides() -> None:
    sim = Simulation(nodes=3, seed=7, rules=replace(RAFT, has_won=no, commit_index=as_before), checks=())
    sim.run_until(lambda one: any(isinstance(node.state.role, PreCandidate) for node in one.nodes.values()))
    told = decisions(Simulated(sim).view(len(sim.trace)))
    assert told[0].line == "this run's rule has_won (no) decides, not Raft's own"
    assert decisions([*Recorded(sim.trace).views(0, len(sim.trace))][-1]) == told


def test_the_lab_says_what_raft_needs_where_raft_decides() -> None:
    sim = Simulation(nodes=3, seed=7, rules=replace(RAFT, commit_index=as_before), checks=())
    leader = sim.run_until(lambda one: one.leader)
    (commit,) = decisions(Simulated(sim).view(len(sim.trace)))
    assert (commit.by, commit.what) == (leader, "commit")
    assert commit.line == "this run's rule commit_index (as_before) decides, not Raft's own"
    again = Simulation(nodes=3, seed=7, rules=replace(RAFT, has_won=yes, commit_index=everything), checks=())
    again.run_until(lambda one: one.leader)
    (leads,) = decisions(Simulated(again).view(len(again.trace)))
    assert leads.line == "everything up to entry 2 is committed"


class Stubborn(Engine, frozen=True):
    """An engine that refuses whatever its rules grant."""

    def step(self, state: RaftState, event: Event) -> Step:
        """As Raft, but for the answer."""
        taken = super().step(state, event)
        return replace(taken, commands=tuple(map(refused, taken.commands)))


def refused(command: Command) -> Command:
    match command:
        case Send(message=VoteResponse() as answer):
            return replace(command, message=replace(answer, granted=False))
        case _:
            return command


def test_no_reason_is_made_up_for_an_engine_that_does_not_follow_its_rules() -> None:
    sim = Simulation(nodes=3, seed=7, engine=Stubborn(), checks=())
    sim.run(0.3)
    refusals = [line for line in sim.trace.story().splitlines() if " refuses n" in line]
    assert refusals
    assert all("; the rules of its run do not explain that" in line or "went to" in line for line in refusals)


def undecided() -> Trace:
    """A run whose voters refuse every candidate, by a rule that a file knows by name only."""
    sim = Simulation(nodes=3, seed=3, rules=replace(RAFT, vote_refusal=behind), checks=())
    sim.run(3.0)
    return sim.trace


def test_a_parquet_file_keeps_what_the_runs_own_rules_decided(tmp_path: Path) -> None:
    trace = undecided()
    loaded = Trace.load(trace.save(tmp_path / "run.parquet"))
    assert f"{PREFIX}vote_refusal" not in set(trace.events.rule), "labels say what it answered"
    assert loaded.events.equals(trace.events)
    again = Trace.load(loaded.save(tmp_path / "again.parquet"))
    assert again.events.equals(trace.events)


def test_labels_that_somebody_changed_are_not_believed(tmp_path: Path) -> None:
    trace = undecided()
    frame = pd.read_parquet(trace.save(tmp_path / "run.parquet"))
    frame.assign(rule=["elected", *frame.rule[1:]]).to_parquet(tmp_path / "changed.parquet")
    loaded = Trace.load(tmp_path / "changed.parquet").events
    assert loaded.rule[0] == trace.events.rule[0] != "elected"
