"""Why, and why not: the majorities behind a fact, or the rule that stood against it, with both values."""

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import ChangeMembership, Receive
from pyraft_lab.engine.membership import ReplaceVoters
from pyraft_lab.engine.messages import VoteRequest
from pyraft_lab.engine.timers import retry
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.questions import Explanation
from pyraft_lab.trace.trace import Trace
from tests.trace.stage import QUIET, Stage


def why(stage: Stage, **fact: object) -> Explanation:
    answer = Trace(stage.records).why(**fact)
    assert isinstance(answer, Explanation)
    return answer


def why_not(stage: Stage, **fact: object) -> Explanation:
    answer = Trace(stage.records).why_not(**fact)
    assert isinstance(answer, Explanation)
    return answer


def led() -> Stage:
    """n1 leads three servers in term 1, and the story begins with its campaign."""
    stage = Stage()
    stage.fire(1)
    return stage.run()


def test_why_a_leader_leads_names_its_votes_and_why_they_were_free() -> None:
    answer = why(led(), leader=1)
    assert answer.answer == "n1 leads term 1 since t=0.006: n1 and n2 of {1,2,3} voted for it (§5.2)."
    assert answer.reasons == (
        (
            "n2 voted for n1 at t=0.002: its vote of term 1 was free, and both logs end with entry 1 of term 0 "
            "(§5.2, §5.4.1)."
        ),
    )
    assert [record.id for record in answer.records] == [0, 1, 2, 6]


def test_why_a_leader_leads_tells_of_one_term() -> None:
    stage = led().elect(2).elect(1)
    assert why(stage, leader=1, term=1).answer.startswith("n1 leads term 1 since t=0.006")
    assert why(stage, leader=1).answer.startswith("n1 leads term 3")


def test_why_an_entry_is_committed_names_whose_disks_made_the_majority() -> None:
    stage = led()
    stage.cut = {3}
    stage.write(1, 7)
    answer = why(stage.run(), committed=3)
    assert "Entry 3 (x=7, term 1) is committed" in answer.answer
    assert "n1 knew it on the disks of n1 and n2 of {1,2,3} (§5.3)" in answer.answer
    own, acknowledged = answer.reasons
    assert own.startswith("n1's own disk held entry 3")
    assert acknowledged.startswith("n2 acknowledged everything up to entry 3")


def test_why_an_entry_of_an_earlier_term_is_committed_names_the_later_one() -> None:
    answer = why(led(), committed=1)
    assert "Entry 1 committed with entry 2, of the leader's own term 1" in answer.reasons[0]
    assert "§5.4.2" in answer.reasons[0]


def test_why_a_joint_entry_is_committed_names_both_majorities() -> None:
    stage = Stage(learners=(4, 5))
    stage.elect(1)
    stage.tell(1, ChangeMembership(request=1, change=ReplaceVoters(frozenset({1, 4, 5}))))
    answer = why(stage.run(), committed=3)
    assert "n1, n2 and n3 of {1,2,3} and n1 and n4 of {1,4,5}" in answer.answer
    assert len(answer.reasons) == 4


def test_why_a_vote_was_given() -> None:
    answer = why(led(), vote=(3, 1))
    assert answer.answer == "n3 votes for n1 in term 1: both logs end with entry 1 of term 0 (§5.2, §5.4.1)."


def test_why_a_record_came_about_goes_back_to_the_timer() -> None:
    stage = led()
    answer = Trace(stage.records).why(6)
    assert [record.id for record in answer.records] == [0, 2, 6]
    assert list(answer.frame.id) == [0, 2, 6]
    assert "n1 times out" in answer.frame.sentence[0]


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (
            LogId(0, 0, 1),
            (
                "n3's log ends with entry 1 of term 0, its own ends with entry 2 of term 1, and the later term wins: "
                "it is ahead (§5.4.1)"
            ),
        ),
        (LogId(1, 1, 2), "that vote went to n1 (§5.2)"),
    ],
)
def test_why_not_a_vote_names_the_comparison_that_decided(last: LogId, told: str) -> None:
    stage = led()
    stage.tire()
    asked = Vote(1, 3) if last.term else Vote(2, 3)
    stage.tell(2, Receive(3, VoteRequest(vote=asked, last=last)))
    answer = why_not(stage, vote=(2, 3), term=asked.term)
    assert answer.answer.startswith(f"n2 did not vote for n3 in term {asked.term}: at t=")
    assert answer.answer.endswith(f"it refuses n3 its vote of term {asked.term}: {told}.")


def test_why_not_a_vote_that_was_never_asked_for_or_asked_in_vain() -> None:
    stage = led()
    assert why_not(stage, vote=(2, 3)).sentences == (
        "n2 did not vote for n3: n3 never asked it to.",
        "n3 was never a candidate.",
    )
    assert why_not(stage, vote=(2, 1), term=4).reasons == ("n1 was a candidate in term 1, not in term 4.",)
    stage.cut = {2}
    stage.tire()
    stage.fire(3)
    stage.run()
    answer = why_not(stage, vote=(2, 3), term=2)
    assert answer.answer == "n2 did not vote for n3 in term 2: no request reached it."
    assert "was stopped by a cut link" in answer.reasons[0]


def test_why_not_asked_about_what_is_so_says_why_it_is() -> None:
    assert why_not(led(), committed=2).answer.startswith("Entry 2 (no-op, term 1) is committed")
    assert why_not(led(), leader=1) == why(led(), leader=1)


def test_why_not_committed_counts_who_lacks_it() -> None:
    stage = led()
    stage.cut = {2, 3}
    stage.write(1, 1)
    stage.run()
    stage.fire(1, retry(3))
    answer = why_not(stage, committed=3)
    assert answer.answer == "Entry 3 is not committed: leader n1 knows it only on the disks of n1 of {1,2,3} (§5.3)."
    assert answer.reasons == (
        "n2 acknowledged entries up to 2; the append of entry 3 of t=0.019 was stopped by a cut link.",
        (
            "n3 acknowledged entries up to 2, and has not answered in time (1 in a row); "
            "the append of entry 3 of t=0.021 was stopped by a cut link."
        ),
    )
    assert [flight.dst for flight in answer.missed] == [2, 3]
    assert [record.kind for record in answer.records] == ["propose", "timer"]
    assert why_not(stage, committed=9).answer == (
        "Entry 9 is not committed: no log has it; the longest log, n1's, ends with entry 3 of term 1."
    )


def test_why_not_committed_follows_the_entry_to_where_it_is_and_its_acknowledgement_back() -> None:
    sim = Simulation(nodes=3, seed=7)
    leader = sim.run_until(lambda s: s.leader) or 0
    sim.run(0.1)
    near, far = sorted(set(sim.nodes) - {leader})
    sim.cut(near, leader)
    sim.break_disk(far, slow=1000.0)
    sim.write({"op": "put", "key": "x", "value": 1}, to=leader)
    sim.run(0.001)
    assert all(reason.endswith(" is still on its way.") for reason in sim.trace.why_not(committed=3).reasons[-2:])
    sim.run(0.03)
    told, waiting = sim.trace.why_not(committed=3).reasons
    assert told.endswith(" arrived, the acknowledgement up to entry 3 was stopped by a cut link.")
    assert waiting.endswith(" arrived, and its disk has not finished.")


def test_why_not_committed_though_a_majority_holds_it() -> None:
    stage = Stage(5, config=replace(QUIET, max_append_entries=1)).elect(1)
    stage.cut = {3, 4, 5}
    stage.write(1, 1)
    stage.run()
    stage.cut = set()
    stage.tire()
    stage.fire(2)
    while not any("does not commit" in line for line in stage.story()[-1:]):
        stage.play()
    answer = why_not(stage, committed=3)
    assert answer.answer == (
        "Entry 3 is not committed, though n1, n2 and n3 of {1,2,3,4,5} hold it: it is of term 1, "
        "and only an entry of n2's own term 2 commits by counting (§5.4.2, Figure 8)."
    )


def test_why_not_committed_on_a_deposed_leader() -> None:
    stage = led()
    stage.cut = {1}
    stage.write(1, 1, 2, 3)
    stage.run()
    stage.elect(2)
    answer = why_not(stage, committed=5)
    assert answer.answer == (
        "Entry 5 is not committed: leader n2's log ends with entry 3 of term 2; "
        "what n1 has there will be removed (§5.3)."
    )


def test_why_not_leader_tells_of_the_last_campaign() -> None:
    stage = led()
    stage.cut = {2}
    stage.tire()
    stage.write(1, 1)
    stage.run()
    stage.fire(3)
    stage.run()
    stage.cut = {1}
    stage.write(3, 1)
    stage.tire()
    stage.elect(2)
    answer = why_not(stage, leader=2)
    assert answer.answer.startswith("n2 never led: as candidate of term")
    assert [reason.split(" ")[0] for reason in answer.reasons] == ["n1:", "n3"]
    assert "was stopped by a cut link" in answer.reasons[0]
    assert "refuses n2 its vote" in answer.reasons[1]


def test_many_tries_in_vain_are_counted_and_the_last_is_told() -> None:
    sim = Simulation(nodes=3, seed=7)
    leader = sim.run_until(lambda s: s.leader) or 0
    sim.run(0.1)
    alone, other = sorted(set(sim.nodes) - {leader})
    sim.partition({alone}, {leader, other})
    sim.run(3.0)
    answer = sim.trace.why_not(leader=alone, term=2)
    tries = [record.time for record in sim.trace.records if record.node == alone and record.kind == "timer"]
    asked = [time for time in tries if time > 0.5]
    assert f" tries, the last at t={asked[-1]:.3f}." in answer.answer
    assert [reason.partition(":")[0] for reason in answer.reasons] == [f"n{leader}", f"n{other}"]
    vote = sim.trace.why_not(vote=(other, alone), term=2)
    assert vote.answer.endswith(" requests reached it.")
    assert len(vote.reasons) == len(vote.missed) == 3


def test_why_not_leader_of_who_never_stood() -> None:
    assert why_not(led(), leader=2).sentences == (
        "n2 never led: it never campaigned.",
        "n2 follows n1, leader of term 1 (§5.2).",
    )
    learner = Stage(learners=(4,)).elect(1)
    assert why_not(learner, leader=4).reasons == ("n4 is not a voter of {1,2,3} learners 4 (§6).",)
    assert why_not(learner, leader=9).answer == "n9 never led: there is no such server."


def test_crashes_are_reasons_too() -> None:
    sim = Simulation(nodes=3, seed=7, config=Config())
    leader = sim.run_until(lambda s: s.leader)
    sim.run(0.1)
    others = sorted(set(sim.nodes) - {leader})
    for node in others:
        sim.crash(node)
    sim.write({"op": "put", "key": "x", "value": 1}, to=leader)
    sim.run(0.1)
    answer = sim.trace.why_not(committed=3)
    assert answer.reasons == tuple(f"n{node} crashed at t={0.291:.3f}." for node in others)
    sim.crash(leader or 0)
    assert sim.trace.why_not(committed=3).answer == "Entry 3 is not committed: there is no leader."


@pytest.mark.parametrize(
    "fact",
    [{}, {"leader": 1, "committed": 2}, {"leader": "n1"}, {"vote": 3}, {"committed": 1, "term": 2}, {"color": "red"}],
)
def test_what_is_no_question_is_refused(fact: dict[str, object]) -> None:
    with pytest.raises(PyraftError, match=r"question|ask about"):
        Trace().why(**fact)


def test_of_nothing_nothing_is_known() -> None:
    assert Trace().why(leader=1).answer == "n1 never led: there is no such server."
    assert Trace().why(committed=1).answer == "Entry 1 is not committed: no log has it."
    assert Trace().why(3).answer == "Record 3 is not kept."


def test_an_answer_shows_itself_in_a_notebook() -> None:
    text = why(led(), leader=1)._repr_markdown_()
    assert text.startswith("**n1 leads term 1")
    assert "\n1. t=0.000 n1 times out" in text


def test_an_answer_in_a_terminal_has_the_same_numbers() -> None:
    lines = str(why(led(), leader=1)).splitlines()
    assert [line.partition(" t=")[0] for line in lines[2:]] == ["  1", "  2", "  3", "  4"]
