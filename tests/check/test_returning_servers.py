"""Returning servers: a right Raft takes them back; one that counts old answers or forgets a membership is named."""

import pytest

from pyraft_lab.check.campaign import run_seed
from pyraft_lab.check.mutants.code_mutants import CODE_MUTANTS
from pyraft_lab.check.scenarios.returning_servers import RETURNS
from pyraft_lab.check.swarm import Draw, draw
from pyraft_lab.check.trial import Trial


def trial(nodes: int = 3, learners: int = 0) -> Trial:
    return Trial(draw=Draw(seed=1, method="returning servers", nodes=nodes, learners=learners, judged=("healed",)))


@pytest.mark.parametrize(("nodes", "learners"), [(3, 0), (3, 1), (2, 0)])
def test_a_right_raft_takes_them_back(nodes: int, learners: int) -> None:
    one = trial(nodes, learners)
    assert len(list(one.attempts())) == len(RETURNS)
    row = run_seed(one)
    assert row.ok, row.what


@pytest.mark.parametrize(
    ("mutant", "violated"),
    [
        ("counts-a-former-life", "progress is true"),
        ("keeps-the-round", "progress is true"),
        ("forgets-where-it-votes", "a leader in the end"),
        ("counts-what-is-gone", "what is stored is on disk"),
        ("counts-earlier-rounds", "only answers count"),
        ("forgets-its-orders", "one lease at a time"),
    ],
)
def test_a_raft_that_does_not_is_named(mutant: str, violated: str) -> None:
    with CODE_MUTANTS[mutant].edit.applied():
        row = run_seed(trial())
    assert row.failed == violated


def test_a_campaign_may_try_nothing_else_and_the_seeds_of_other_methods_stay() -> None:
    assert draw(0, methods=["returning servers"]).method == "returning servers"
    both = {draw(seed, methods=["walk", "returning servers"]).method for seed in range(40)}
    assert both == {"walk", "returning servers"}
    assert draw(21).method == "returning servers"
    assert draw(21, methods=["walk"]).method == "walk"
