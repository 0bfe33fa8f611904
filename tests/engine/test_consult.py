"""Which rules decided a step, and where a run's own departs from Raft's."""

from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.consult import (
    UNKNOWN,
    Departure,
    Function,
    NamedRule,
    answer_of,
    ask,
    consult,
    departures,
    is_own,
    listen,
    named_rules,
    names_of,
    rules_of,
    title_of,
)
from pyraft_lab.engine.engine import raft, step, with_overdue
from pyraft_lab.engine.events import ChangeMembership, Event, Fire, Read, Receive
from pyraft_lab.engine.membership import Membership, ReplaceVoters
from pyraft_lab.engine.messages import HeartbeatRequest, VoteRequest
from pyraft_lab.engine.rules import (
    ADVANCED,
    RAFT,
    Rules,
    VoteRefusal,
    may_campaign,
    pre_vote_refusal,
    supersedes,
    supersedes_in_order,
    vote_refusal,
)
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.timers import ELECTION, lease
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.errors import EmptyMembership
from tests.engine.builders import accepted, after, append_request, entry, follower, leader

ASKED = Receive(1, VoteRequest(vote=Vote(5, 1), last=LogId(4, 4, 9)))


def refuses(*_: Any) -> VoteRefusal:
    return VoteRefusal.LOG


CHANGE = ChangeMembership(request=1, change=ReplaceVoters(frozenset({1, 2})))


def raises(*_: Any) -> Any:
    raise EmptyMembership


def same_as(rule: Function) -> Function:
    """Another function that answers like ``rule``."""
    return partial(rule)


def settled() -> RaftState:
    """A leader whose first entry is committed."""
    return after(leader(1), accepted(2, leader(1)))


def asked(rules: Rules = RAFT, event: Event = ASKED) -> Step:
    return raft(rules).step(follower(2, term=1), event)


def test_a_step_is_decided_by_the_rules_that_were_asked_in_order() -> None:
    heard = consult(asked())
    assert [one.rule for one in heard][:2] == ["vote_refusal", "may_campaign"]
    assert heard[0].answer is None
    assert heard[0].function is vote_refusal
    assert answer_of(asked(), may_campaign) is True
    assert answer_of(asked(), pre_vote_refusal) is UNKNOWN


def test_a_step_knows_the_rules_of_its_run() -> None:
    own = replace(RAFT, vote_refusal=refuses)
    assert (asked().rules, rules_of(asked())) == (None, RAFT)
    assert rules_of(asked(own)) is own
    assert asked(ADVANCED).rules is ADVANCED


@pytest.mark.parametrize("rules", [RAFT, ADVANCED, replace(ADVANCED, supersedes=supersedes_in_order)])
def test_rafts_own_rules_never_depart_from_raft(rules: Rules) -> None:
    assert departures(asked(rules)) == ()


def test_a_rule_departs_where_it_says_otherwise_than_rafts_own() -> None:
    found = departures(asked(replace(RAFT, vote_refusal=refuses)))
    assert found == (Departure("vote_refusal", "refuses", VoteRefusal.LOG, None),)


def test_an_answer_that_changes_nothing_is_no_departure() -> None:
    own = replace(RAFT, is_snapshot_due=lambda _state: True, supersedes=same_as(supersedes))
    assert answer_of(asked(own), RAFT.is_snapshot_due) is True
    assert departures(asked(own)) == ()


def test_a_variant_of_openrafts_rules_is_measured_by_openrafts() -> None:
    state = replace(follower(2, term=5), disk=replace(follower(2, term=5).disk, vote=Vote(5, 1)))
    greater = Receive(3, VoteRequest(vote=Vote(5, 3), last=LogId(4, 4, 9)))
    own = replace(ADVANCED, vote_refusal=same_as(vote_refusal))
    (found,) = departures(raft(own).step(state, greater))
    assert (found.answer, found.own) == (VoteRefusal.VOTE, None)


def test_a_rule_of_the_run_may_be_asked_more() -> None:
    broken = asked(replace(RAFT, next_membership=raises))
    assert ask(broken, may_campaign, broken.before) is True
    assert ask(broken, RAFT.next_membership, Membership(), CHANGE.change, False) is UNKNOWN  # noqa: FBT003
    assert not UNKNOWN


def test_one_of_openrafts_rules_alone_is_a_departure_from_raft() -> None:
    state = replace(follower(2, term=5), disk=replace(follower(2, term=5).disk, vote=Vote(5, 1)))
    leads = Receive(3, HeartbeatRequest(vote=Vote(5, 3), matched=LogId(), commit=0, round=1))
    assert is_own(RAFT, supersedes)
    assert is_own(ADVANCED, supersedes)
    mixed = replace(RAFT, vote_refusal=ADVANCED.vote_refusal)
    assert not is_own(mixed, vote_refusal)
    greater = Receive(3, VoteRequest(vote=Vote(5, 3), last=LogId(4, 4, 9)))
    assert [one.title for one in departures(raft(mixed).step(state, greater))] == ["vote_refusal_in_order"]
    assert departures(raft(mixed).step(state, leads)) == ()


def test_lists_and_truths_count_by_what_they_say() -> None:
    append = append_request(1, 1, LogId(), [entry(1), entry(2)])
    own = replace(
        RAFT, log_matches=lambda _log, _prev: 1, new_entries=lambda log, entries: list(RAFT.new_entries(log, entries))
    )
    taken = raft(own).step(follower(2, [1], term=1), append)
    assert answer_of(taken, RAFT.new_entries) == [entry(2)]
    assert departures(taken) == ()


def test_a_rule_that_raises_has_said_so() -> None:
    (found,) = departures(raft(replace(RAFT, next_membership=raises)).step(settled(), CHANGE))
    assert isinstance(found.answer, EmptyMembership)
    assert found.own == Membership.of({1, 2, 3}).change(CHANGE.change)


def test_a_rule_that_fails_when_asked_again_stops_no_explanation() -> None:
    def broken(*_: Any) -> Any:
        return dict[str, Any]()["no such key"]

    taken = replace(step(settled(), CHANGE), rules=replace(RAFT, next_membership=broken))
    assert isinstance(consult(taken)[-1].answer, KeyError)
    assert departures(taken) == ()


def test_the_same_error_as_rafts_own_is_no_departure() -> None:
    own = replace(RAFT, next_membership=same_as(RAFT.next_membership))
    unknown = ChangeMembership(request=1, change=ReplaceVoters(frozenset({1, 99})))
    assert departures(raft(own).step(settled(), unknown)) == ()
    assert answer_of(raft(own).step(settled(), unknown), RAFT.next_membership) is not UNKNOWN


def test_a_rule_that_answers_otherwise_when_asked_again_is_named_without_an_answer() -> None:
    answers = iter([VoteRefusal.LOG])
    own = replace(RAFT, vote_refusal=lambda _state, _request: next(answers, None))
    assert departures(asked(own)) == (Departure("vote_refusal", "<lambda>", UNKNOWN, UNKNOWN),)


def test_a_rule_known_by_name_is_blamed_only_where_rafts_own_decides_otherwise() -> None:
    known = named_rules({"vote_refusal": "suspicious", "supersedes": "supersedes", "of another version": "x"})
    assert names_of(known) == {"vote_refusal": "suspicious"}
    taken = replace(asked(replace(RAFT, vote_refusal=refuses)), rules=known)
    assert departures(taken) == (Departure("vote_refusal", "suspicious", UNKNOWN, UNKNOWN),)
    assert departures(replace(asked(), rules=known)) == ()


def test_tables_are_told_by_name_and_found_again() -> None:
    assert names_of(None) == names_of(RAFT) == {}
    assert named_rules({}) is None
    assert named_rules(names_of(ADVANCED)) is ADVANCED
    assert title_of(NamedRule("log_matches", "mine")) == "mine"


def test_an_exception_to_a_rule_departs_and_the_rule_does_not() -> None:
    class Overruled:
        __wrapped__ = staticmethod(vote_refusal)

        def __init__(self, answer: VoteRefusal | None) -> None:
            self.answer = answer

        def __call__(self, state: Any, request: Any) -> VoteRefusal | None:
            return self.answer or vote_refusal(state, request)

    assert names_of(replace(RAFT, vote_refusal=Overruled(None))) == {}
    assert departures(asked(replace(RAFT, vote_refusal=Overruled(None)))) == ()
    (found,) = departures(asked(replace(RAFT, vote_refusal=Overruled(VoteRefusal.LOG))))
    assert (found.title, found.answer) == ("vote_refusal", VoteRefusal.LOG)


def test_a_table_that_differs_from_rafts_only_elsewhere_is_heard_too() -> None:
    own = replace(RAFT, log_matches=lambda _log, _prev: False)
    taken = step(follower(2, [1], term=1), append_request(1, 1, LogId(), [entry(1)]))
    heard, again = listen(taken, own)
    assert "conflict_hint" in [one.rule for one in heard]
    assert again.commands != taken.commands


def test_a_step_remembers_the_timers_that_its_own_fires_first_let_wait() -> None:
    own = replace(RAFT, fires_first=lambda _event, _overdue: ())
    read, overdue = Read((1,)), (lease(1),)
    taken = with_overdue(raft(own).step(leader(1), read), overdue)
    assert departures(taken) == (Departure("fires_first", "<lambda>", (), overdue),)
    assert with_overdue(step(leader(1), read), overdue).overdue == ()
    assert with_overdue(raft(own).step(leader(1), Fire(ELECTION)), overdue).overdue == overdue
    assert departures(with_overdue(raft(own).step(leader(1), Fire(ELECTION)), overdue)) == ()


def test_rafts_own_rule_may_not_survive_what_another_rule_has_done() -> None:
    own = replace(RAFT, log_matches=lambda _log, _prev: True, new_entries=lambda _log, _entries: ())
    far = append_request(1, 1, LogId(1, 1, 8), [entry(9)])
    assert [one.rule for one in departures(raft(own).step(follower(2, term=1), far))] == ["log_matches", "new_entries"]


def test_a_step_that_is_asked_about_again_is_not_taken_again() -> None:
    times = list[int]()

    def counts(*_: Any) -> VoteRefusal:
        times.append(1)
        return VoteRefusal.LOG

    taken = asked(replace(RAFT, vote_refusal=counts))
    before = len(times)
    once = departures(taken)
    count = len(times)
    assert count > before
    assert departures(taken) is once
    assert len(times) == count
