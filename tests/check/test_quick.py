"""The quick pass: nothing is violated under Raft, and each mistake is found by the search that is made for it."""

from collections.abc import Mapping

import pytest

from pyraft_lab import MUTANTS
from pyraft_lab.check.explore.explorer_state import ExplorerState
from pyraft_lab.check.explore.quick import SEARCHES, quick
from pyraft_lab.check.mutants.faulty_rules import votes_for_anyone, without_sessions
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.machine import KeyValue
from tests.check import broken

SEARCH = {search.about: search for search in SEARCHES}
FOUND: Mapping[str, tuple[str, str, int]] = {
    "votes-for-anybody": ("a vote after a restart", "election safety", 6),
    "votes-twice": ("a vote after a restart", "election safety", 6),
    "votes-for-the-past": ("two elections", "leader completeness", 9),
    "ignores-logs": ("two elections", "leader completeness", 8),
    "keeps-conflicts": ("two elections", "commit is backed", 8),
    "obeys-old-leaders": ("two elections", "leader completeness", 8),
    "half-elects": ("an even number of voters", "election safety", 6),
    "half-commits": ("half of the voters commit", "commit is backed", 2),
    "counts-any-grant": ("votes of an earlier election", "election safety", 4),
    "compares-lengths": ("the longer log of an older term", "leader completeness", 5),
    "fits-by-length": ("the longer log of an older term", "log matching", 4),
    "compares-terms": ("the shorter log of the same term", "leader completeness", 3),
    "votes-before-disk": ("promises and the disk", "election safety", 9),
    "accepts-before-disk": ("promises and the disk", "commit is backed", 8),
    "counts-its-memory": ("promises and the disk", "commit is backed", 8),
    "commits-old-terms": ("Figure 8", "leader completeness", 10),
    "writes-again": ("logs that conflict", "nothing impossible", 3),
    "commits-what-it-has": ("a log that was not compared", "state machine safety", 4),
    "reads-at-once": ("a deposed leader reads", "reads are fresh", 8),
    "reads-early": ("a deposed leader reads", "reads are fresh", 6),
    "trusts-transfers": ("a transfer that comes late", "leader completeness", 7),
    "leads-for-ever": ("a lease that is over", "reads are fresh", 8),
    "starts-when-answered": ("a lease that is over", "reads are fresh", 7),
    "ignores-vote-leases": ("a lease of the next round", "reads are fresh", 10),
    "boots-free": ("vote leases and restarts", "reads are fresh", 8),
    "keeps-its-lease": ("a lease after a transfer", "reads are fresh", 8),
    "learners-commit": ("learners", "commit is backed", 4),
    "union-commits": ("the commit of a change", "commit is backed", 6),
    "any-set-elects": ("elections during a change", "election safety", 3),
    "union-elects": ("elections during a change", "election safety", 3),
    "changes-any-time": ("a change upon a change", "leader completeness", 3),
    "new-voters-commit": ("a change upon a change", "leader completeness", 3),
    "counts-itself": ("a leader that removes itself", "commit is backed", 7),
    "changes-at-once": ("elections during a change", "election safety", 3),
    "leaves-at-once": ("elections during a change", "election safety", 3),
    "forgets-applied": ("a snapshot that arrives twice", "forgotten is kept", 3),
    "installs-any-snapshot": ("a snapshot that arrives twice", "commit never goes back", 9),
}


def test_nothing_is_violated_under_raft() -> None:
    report = quick()
    assert report
    assert report.searches == len(SEARCHES)
    assert report.worlds < 60_000, "a quick pass takes a few seconds"
    assert {"SnapshotRequest", "TimeoutNow", "ReadServed", "Truncated", "Restored"} <= set(report.facts_seen)
    assert str(report).startswith(f"{len(SEARCHES)} small searches: nothing is violated (")


@pytest.mark.parametrize(("name", "expected"), FOUND.items(), ids=FOUND.keys())
def test_a_mistake_is_found_by_the_search_that_is_made_for_it(name: str, expected: tuple[str, str, int]) -> None:
    about, property, length = expected
    report = SEARCH[about].run(MUTANTS[name].engine, KeyValue, None)
    assert (report.broken, len(report.path)) == (property, length), report.story()


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        (broken.ForgetsItsVote(), "election safety"),
        (RAFT.__class__(vote_refusal=votes_for_anyone), "election safety"),
    ],
    ids=["an engine", "a table of rules"],
)
def test_a_quick_pass_reports_the_first_violation(engine: Engine | Rules, name: str) -> None:
    report = quick(engine)
    assert report.broken == name
    assert name in {violation.name for violation in report.simulation().violations}


def test_a_quick_pass_checks_the_machine_too() -> None:
    report = SEARCH["commands sent again"].run(raft(), without_sessions, None)
    assert report.broken == "every command takes effect once"


def test_every_search_reaches_its_start_under_raft() -> None:
    impossible = {
        "elections during a change",
        "a change upon a change",
    }  # no election without the old voters: that is the point
    for search in SEARCHES:
        report = search.run(raft(), KeyValue, None)
        assert isinstance(report.start, ExplorerState)
        reached = report.bounds == search.bounds
        assert reached is (search.about not in impossible), search.about
