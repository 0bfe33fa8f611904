"""A prediction is locked before anything runs, and compared with many runs."""

from collections.abc import Callable
from typing import Any

import pytest

from pyraft_lab import exercises
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.exercises.mark import UnknownAnswer
from pyraft_lab.exercises.prediction import Locked


def parity(seed: int) -> str:
    return "even" if seed % 2 == 0 else "odd"


def test_nothing_runs_before_the_answer() -> None:
    ran: list[int] = []

    def played(seed: int) -> str:
        ran.append(seed)
        return parity(seed)

    asked = exercises.predict("?", ["even", "odd"], scored_by=played, seeds=10)
    assert "even" in asked.text
    assert ran == []
    asked.answer("odd")
    assert ran == [*range(10)]
    assert asked.counts == {"even": 5, "odd": 5}


def test_an_answer_is_locked() -> None:
    asked = exercises.predict("?", ["even", "odd"], scored_by=parity, seeds=3)
    asked.answer("odd")
    with pytest.raises(Locked, match="you predicted 'odd'"):
        asked.answer("even")
    assert asked.score == 0


def test_the_bars_show_the_guess_beside_what_happened() -> None:
    asked = exercises.predict("Which is more?", ["even", "odd"], scored_by=parity, seeds=3)
    marked = asked.answer("even")
    assert marked.score == 1
    assert "even 2, odd 1" in str(marked)
    assert "your answer" in asked.picture


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"choices": "yes"}, "choices"),
        ({"choices": ["yes"]}, "choices"),
        ({"choices": ["yes", "yes"]}, "choices"),
        ({"choices": 3}, "choices"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": True}, "seeds"),
        ({"scored_by": "odd"}, "scored_by"),
        ({"question": 7}, "question"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, object], field: str) -> None:
    given: dict[str, object] = {"question": "?", "choices": ["even", "odd"], "scored_by": parity, **change}
    call: Callable[..., object] = exercises.predict
    with pytest.raises(ConfigError, match=field):
        call(given.pop("question"), given.pop("choices"), **given)


def test_a_choice_that_is_not_offered_is_refused() -> None:
    asked = exercises.predict("?", ["even", "odd"], scored_by=parity)
    with pytest.raises(UnknownAnswer):
        asked.answer("prime")
    strange = exercises.predict("?", ["yes", "no"], scored_by=parity, seeds=2)
    with pytest.raises(ConfigError, match="scored_by"):
        strange.answer("yes")


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    exercises.predict(
        "?", ["even", "odd"], scored_by=parity, seeds=2, progress=lambda done, of: told.append((done, of))
    ).answer("odd")
    assert told == [(1, 2), (2, 2)]


def test_a_run_that_raises_is_named_with_its_seed_and_the_answer_stays_open() -> None:
    def broken(seed: int) -> str:
        raise ValueError(f"seed {seed}")

    asked = exercises.predict("?", ["even", "odd"], scored_by=broken)
    with pytest.raises(PyraftError, match="scored_by raised ValueError for seed 0"):
        asked.answer("odd")
    assert asked.last is None


@pytest.mark.parametrize("given", [{"hints": 3}, {"hints": "look"}, {"hints": [3]}, {"progress": 3}])
def test_a_prediction_names_the_argument_that_is_none(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        exercises.predict("?", ["even", "odd"], scored_by=parity, **given)
