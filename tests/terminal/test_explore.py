"""`explore` in a terminal: how large a space is, what is violated in it, and how to open what was found."""

import pytest

from pyraft_lab.cli import main
from pyraft_lab.sim.simulation import Simulation


def test_a_space_in_which_nothing_falls_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--timeouts", "1", "--writes", "1"]) == 0
    shown = capsys.readouterr().out
    assert "895" in shown
    assert "Nothing is violated: these are all states." in shown


def test_a_search_that_was_cut_short_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--timeouts", "2", "--symmetric", "--worlds", "200"]) == 0
    assert "there are more states" in capsys.readouterr().out


def test_what_falls_ends_with_a_shortest_story_that_opens_as_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--timeouts", "2", "--writes", "0", "--mutant", "votes-twice"]) == 1
    shown = capsys.readouterr().out
    assert "election safety is violated after 6 steps; no run is shorter." in shown
    capsule = shown.rpartition("capsule: ")[2].strip()
    assert "election safety" in [one.name for one in Simulation.from_capsule(capsule).violations]
    assert main(["simulate", "--capsule", capsule]) == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--mutant", "votes-twise"], "did you mean votes-twice?"),
        (["--mutant", "forgets-sessions"], "has no mistake in its rules"),
    ],
)
def test_a_search_that_cannot_be_is_refused(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", *options]) == 2
    assert complaint in capsys.readouterr().err
