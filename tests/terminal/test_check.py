"""`simulate` and `check` in a terminal: what they print, and what their exit codes say."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pyraft_lab.check.campaign import Row
from pyraft_lab.check.explore.quick import SEARCHES
from pyraft_lab.check.mutants.faulty_rules import accepts_before_disk
from pyraft_lab.cli import main
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.terminal import check, simulate
from pyraft_lab.trace.trace import Trace


def capsule_in(shown: str) -> str:
    return shown.rpartition("capsule: ")[2].strip()


def test_one_run_ends_with_its_verdict_and_keeps_its_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.parquet"
    assert main(["simulate", "--nodes", "3", "--seed", "2", "--seconds", "2", "--trace", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "Nothing is violated" in shown
    assert Trace.load(path).digest() in shown


def test_a_run_in_which_something_falls_says_what_and_ends_with_its_capsule(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(simulate.RULES, "raft", replace(RAFT, waits_for_disk=accepts_before_disk))
    assert main(["simulate", "--seed", "2", "--seconds", "5", "--faults", "heavy"]) == 1
    shown = capsys.readouterr().out
    assert "durable before answer is violated" in shown
    assert Simulation.from_capsule(capsule_in(shown)).violations


def test_a_campaign_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["check", "--seeds", "0:2", "--nodes", "3", "--faults", "light", "--seconds", "1", "--workers", "1"]) == 0
    )
    assert "nothing violated" in capsys.readouterr().out


def test_a_campaign_in_which_something_falls_ends_with_the_shrunk_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(simulate.RULES, "raft", replace(RAFT, waits_for_disk=accepts_before_disk))
    assert main(["check", "--seeds", "3:4", "--rules", "raft", "--workers", "1"]) == 1
    shown = capsys.readouterr().out
    assert "durable before answer" in shown
    assert len(Simulation.from_capsule(capsule_in(shown)).trace) <= 30


def test_a_hunt_ends_with_the_story_of_the_shrunk_run_and_its_capsule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--mutant", "ignores-logs"]) == 1
    shown = capsys.readouterr().out
    small = Simulation.from_capsule(capsule_in(shown))
    assert small.trace.story().splitlines()[-1] in shown
    assert "leader completeness is violated" in shown


def test_a_mutant_of_the_code_is_put_to_the_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--mutant", "sleeps-after-a-vote"]) == 1
    shown = capsys.readouterr().out
    assert "mistake is in the engine" in shown.replace("\n", " ").replace("  ", " ")
    assert "every wait ends is violated" in shown


def test_a_campaign_says_what_it_did_not_look_at_and_leaves_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, config = tmp_path / "out.html", tmp_path / "config.json"
    config.write_text('{"keep_logs": 0, "pre_vote": false, "vote_lease": false}')
    options = ["--nodes", "3", "--faults", "light", "--seconds", "1", "--workers", "1", "--report", str(page)]
    load = '{"clients": 2, "lease": 0.0}'
    assert main(["check", "--seeds", "0:2", *options, "--config", str(config), "--load", load]) == 0
    shown = capsys.readouterr().out
    assert "never reached, so nothing is said of: " in shown
    assert "not judged in 2 seeds: liveness: without pre-vote and a lease" in shown
    assert f"search: small searches under raft: {len(SEARCHES)} small searches: nothing is violated" in shown
    text = page.read_text(encoding="utf-8")
    assert "Nothing is violated." in text
    assert "<td>snapshot installed</td>" in text


def test_the_page_of_a_violation_has_its_story_and_a_still_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(simulate.RULES, "raft", replace(RAFT, waits_for_disk=accepts_before_disk))
    page = tmp_path / "out.html"
    assert main(["check", "--seeds", "3:4", "--rules", "raft", "--workers", "1", "--report", str(page)]) == 1
    assert "left out: durable before request, since it presupposes waits_for_disk" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "data:image/svg+xml" in text
    assert "durable before answer" in text
    assert "pyraft2." in text


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--config", '{"keep_log": 1}', "keep_logs"),
        ("--config", "nowhere.json", "neither a JSON object nor a file"),
        ("--load", '{"reads": 2}', "reads"),
        ("--report", "out.txt", ".html"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(
    option: str, value: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["check", option, value])
    assert refused.value.code == 2
    assert complaint in capsys.readouterr().err


def test_an_unknown_mutant_is_answered_with_all_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--mutant", "dances"]) == 2
    assert "votes-for-anybody" in capsys.readouterr().err


def test_the_mutants_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--mutants"]) == 0
    assert "ignores-logs" in capsys.readouterr().out


@pytest.mark.parametrize("seeds", ["5:5", "one", "1:2:3"])
def test_seeds_that_are_none_are_refused(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["check", "--seeds", seeds])
    assert refused.value.code == 2
    assert "seeds" in capsys.readouterr().err


PLAN = """
nodes: 3
seconds: 2
faults:
  - {do: crash, at: 0.5, lasts: 0.5, node: leader}
"""


def test_a_plan_in_a_file_is_performed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    assert main(["simulate", "--plan", str(tmp_path / "plan.yaml"), "--seed", "3", "--story"]) == 0
    shown = capsys.readouterr().out
    assert "t=0.500 n" in shown
    assert "crashes and loses its memory" in shown
    assert "Nothing is violated" in shown


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--plan", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["--plan", "nowhere.yaml", "--faults", "heavy"], "--faults='heavy': the plan already sets this"),
        (["--capsule", "pyraft2.40", "--seed", "3"], "--seed=3: the capsule already sets this"),
        (["--capsule", "pyraft2.40"], "cut off within its first characters"),
        (["--capsule", "hello"], "'hello' is neither a capsule nor a file with one"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_sentence(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", *options]) == 2
    assert complaint in capsys.readouterr().err.replace("\n", " ").replace("  ", " ")


def test_a_capsule_is_opened_from_wherever_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = Simulation(3, seed=4)
    sim.run(1.0)
    text, path = sim.capsule(), tmp_path / "run.txt"
    path.write_text(text)
    monkeypatch.setattr("sys.stdin", StringIO(text))
    for capsule in (text, f"https://example.org/?capsule={text}", str(path), "-"):
        assert main(["simulate", "--capsule", capsule]) == 0
        assert sim.trace.digest() in capsys.readouterr().out


def test_the_capsule_of_a_hunt_opens_with_its_story_and_what_fell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--mutant", "half-elects"]) == 1
    hunted = capsys.readouterr().out
    assert "pyraft-lab simulate --story --capsule" in hunted
    assert main(["simulate", "--story", "--capsule", capsule_in(hunted)]) == 1
    opened = capsys.readouterr().out
    assert "election safety is violated" in opened
    assert capsule_in(opened) == capsule_in(hunted)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--load", '{"client": 2}'], "'client' is unknown; did you mean clients?"),
        (["--load", '{"clients": "2"}'], "Expected `int`, got `str`"),
        (["--load", "[1]"], "neither a JSON object nor a file"),
        (["--mutant", "half-elects", "--strict", "--load", "{}"], "--load and --strict is given"),
        (["--mutants", "--explore"], "--explore is given"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["check", *options])
    assert complaint in capsys.readouterr().err


def test_an_interrupted_campaign_says_what_was_done_and_where_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **settings: Any) -> None:
        settings["progress"](Row(seed=0, ok=True))
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "run_campaign", interrupted)
    monkeypatch.setattr(check, "_search", lambda *_: check.Searches())
    assert main(["check", "--seeds", "0:9", "--workers", "1", "--out", str(tmp_path / "rows.parquet")]) == 130
    shown = capsys.readouterr().out
    assert "1 of 9 seeds were run" in shown
    assert "rows.parquet keeps them" in shown
