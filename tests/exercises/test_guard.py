"""Endless loops of a learner's end on every Python, in whatever form they are written."""

import pytest

from pyraft_lab.exercises.guard import RuleFailed, limited

ENDLESS = (
    "while True: pass",
    "while 1: 1 + 1",
    "while not False and True: continue",
    "for _ in iter(int, 1): pass",
    "return [x for x in iter(int, 1)]",
    "return {x: x for x in iter(int, 1)}",
    "return all(x == 0 for x in iter(int, 1))",
    "return sum(map(lambda x: x, iter(int, 1)))",
    "return (lambda: [0 for _ in iter(int, 1)])()",
)


@pytest.mark.parametrize("call", range(2), ids=("first call", "later call"))
@pytest.mark.parametrize("body", ENDLESS)
def test_an_endless_loop_ends(body: str, call: int) -> None:
    names: dict[str, object] = {}
    exec(compile(f"def rule(endless):\n    if not endless: return 0\n    {body}\n", "<learner>", "exec"), names)
    rule = names["rule"]
    assert callable(rule)
    for _ in range(call):
        limited("rule", rule, 0)
    with pytest.raises(RuleFailed, match="endless loop"):
        limited("rule", rule, 1)
