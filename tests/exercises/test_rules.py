"""A rule of the learner's own: judged at once, ended at a limit, never trusted."""

import pytest

from pyraft_lab import exercises
from pyraft_lab.exercises import apart, own_rules
from pyraft_lab.exercises.guard import RuleFailed
from pyraft_lab.exercises.own_code import NoRule, rule_from
from pyraft_lab.exercises.rule_exercise import judge
from pyraft_lab.exercises.rule_texts import RULE_TEXTS
from pyraft_lab.exercises.situations import differences
from pyraft_lab.exercises.skeletons import EMPTY
from tests.exercises.answers import source

COUNTS_COPIES = """def commit_index(state):
    return max(state.committed, state.membership.committed_index(state.matched))
"""


pytestmark = pytest.mark.usefixtures("judged_here")


@pytest.mark.parametrize("name", sorted(RULE_TEXTS))
def test_a_skeleton_runs_and_differs_from_raft_where_raft_itself_does_not(name: str) -> None:
    assert differences(name, rule_from(name, exercises.rule(name).skeleton))
    assert not differences(name, rule_from(name, source(name)))


def test_raft_s_own_rule_has_every_point() -> None:
    verdict = judge("vote_refusal", source("vote_refusal"))
    assert (verdict.score, verdict.capsule) == (3, "")


def test_a_wrong_rule_is_shown_by_a_short_run() -> None:
    exercise = exercises.rule("vote_refusal")
    marked = exercise.answer(exercise.skeleton)
    assert marked.score == 1
    assert "one vote a term" in str(marked)
    assert "in the plainest" in str(marked)
    assert exercise.simulation.violations
    assert len(exercise.simulation.trace) < 15
    assert exercise.picture.startswith("<svg")
    assert "<img" in marked.picture


def test_figure_8_is_found_in_a_rule_that_counts_copies() -> None:
    verdict = judge("commit_index", COUNTS_COPIES)
    assert verdict.score == 1
    assert verdict.story
    assert "leader completeness" in verdict.text


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("while True: pass", "endless loop"),
        ("return [x for x in iter(int, 1)]", "endless loop"),
        ("return has_won(membership, granted)", "recursion"),
        ("return 1 / 0", "ZeroDivisionError"),
        ("return 'yes'", "must answer True or False"),
        ("return membership.nodes['x']", "raised"),
    ],
)
def test_a_rule_without_an_answer_ends_with_a_clear_word(body: str, word: str) -> None:
    verdict = judge("has_won", f"def has_won(membership, granted):\n    {body}")
    assert verdict.score == 0
    assert word in verdict.text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("def has_won(membership granted): pass", "line 1"),
        ("x = 1", "defines no function"),
        ("def has_won(membership): return True", "2 arguments"),
        ("from pyraft_lab.engine.rules import has_won", "may not import"),
        ("has_won = RAFT.has_won", "your own rule"),
        ("while True: pass", "endless loop"),
        ("raise ValueError('no')", "ValueError"),
        ("#" * 30_000, "longer than"),
    ],
)
def test_a_source_that_is_no_rule_is_refused(text: str, word: str) -> None:
    with pytest.raises((NoRule, RuleFailed), match=word):
        rule_from("has_won", text)


def test_a_limit_is_not_the_learner_s_to_catch() -> None:
    body = "    try:\n        while True: pass\n    except Exception:\n        return True"
    greedy = f"def has_won(membership, granted):\n{body}"
    assert "endless loop" in judge("has_won", greedy).text


def test_the_empty_table_is_no_raft() -> None:
    table = own_rules.mine()
    assert table == EMPTY
    own_rules.keep("has_won", source("has_won"))
    assert own_rules.mine() != EMPTY


def test_a_call_that_never_returns_is_ended_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    endless = "from itertools import count\ndef has_won(membership, granted):\n    return sum(count()) > 0"
    told = apart.run("judge", {"name": "has_won", "source": endless}, here=dict, limit=4.0)
    assert "endless loop" in told["ended"]


def test_a_process_judges_as_this_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    request = {"name": "has_won", "source": "def has_won(membership, granted):\n    print('hello')\n    return 'yes'"}
    told = apart.run("judge", request, here=dict)
    assert told["text"] == judge("has_won", request["source"]).text


def test_a_process_that_dies_is_said() -> None:
    assert "ended without an answer, with exit code 3: gone" in apart.answer_of("", "gone", 3)["ended"]
    for written in ("[1]", "3", "[" * 100_000, "\ufffd"):
        assert "it said nothing" in apart.answer_of(written, "", 0)["ended"]


FORGERIES = [
    "import os; os.write(3, b'forged')",
    "open('/proc/self/fd/3', 'w').write('forged')",
    "(one for one in ()).gi_frame.f_back",
    "().__class__.__base__",
    "from time import time; return time() > 0",
]
"""Ways out of a pure function; the first two would write a verdict where the judge writes its own."""


@pytest.mark.parametrize("way", FORGERIES)
def test_a_rule_that_leaves_its_arguments_is_no_rule(way: str) -> None:
    verdict = judge("has_won", f"def has_won(membership, granted):\n    {way}\n    return True")
    assert verdict.score == 0
    assert "a rule is a function of its arguments alone" in verdict.text


def test_a_rule_may_calculate_with_the_standard_library() -> None:
    source = "import math\nfrom collections import Counter\ndef has_won(membership, granted):\n    return math.inf > 1"
    assert rule_from("has_won", source)(None, None) is True


@pytest.mark.parametrize("way", ["sys.modules['pyraft_lab.engine.rules']", "__import__('pyraft_' + 'lab')"])
def test_a_rule_cannot_ask_the_finished_one_by_the_name_of_its_module(way: str) -> None:
    with pytest.raises(NoRule, match="asks for your own rule"):
        rule_from("has_won", f"def has_won(membership, granted):\n    return {way}.has_won(membership, granted)")


def test_a_rule_that_exits_gives_no_answer() -> None:
    rule = rule_from("has_won", "def has_won(membership, granted):\n    raise SystemExit(3)")
    with pytest.raises(RuleFailed, match="line 2 raised SystemExit"):
        rule(None, None)


def test_a_failure_that_only_clients_see_is_drawn_as_they_saw_it() -> None:
    exercise = exercises.rule("is_read_safe")
    marked = exercise.answer(exercise.skeleton)
    assert "linearizability" in str(marked)
    assert not exercise.simulation.violations
    assert "fits in no order" in exercise.picture


@pytest.mark.parametrize(
    "helper",
    [
        "from dataclasses import dataclass\n@dataclass(order=True)\nclass Count:\n    n: int = 0",
        "import math\ndef majority(n: int) -> int:\n    return math.floor(n / 2) + 1",
        "class Count:\n    def __init__(self) -> None:\n        self.types = [type(self).__name__]\nCount()",
    ],
)
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_a_rule_may_have_ordinary_helpers(future: str, helper: str) -> None:
    assert rule_from("has_won", f"{future}{helper}\ndef has_won(membership, granted): return True")(None, None) is True


@pytest.mark.parametrize(
    "way",
    [
        "import enum\nenum.sys.modules",
        "from enum import sys as other",
        "from typing import get_type_hints as hints",
        "from typing import ForwardRef",
        "import dataclasses\ndataclasses.inspect",
    ],
)
def test_no_module_leads_out_of_a_rule(way: str) -> None:
    with pytest.raises(NoRule, match="may not use"):
        rule_from("has_won", f"{way}\ndef has_won(membership, granted): return True")
