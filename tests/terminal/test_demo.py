from pathlib import Path

import pytest

from pyraft_lab.cli import main
from pyraft_lab.history import History, Operation
from pyraft_lab.network import broker
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.terminal.play import Demo, DemoReport, demonstrate
from pyraft_lab.trace.trace import Trace
from tests.runtime.test_cluster import NETWORKS


@pytest.mark.parametrize("network", NETWORKS)
async def test_all_of_the_demonstration_happens(network: str) -> None:
    report = await demonstrate(network=network, seconds=0.4)
    assert [act.title for act in report.steps if not act.ok] == []
    assert len(report.steps) == 8
    assert report.ok


def test_the_command_tells_the_story_and_exits_with_zero(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    words = ["demo", "--network", "memory", "--seconds", "0.2", "--nodes", "3", "--report", str(page)]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "Every step succeeded." in told
    assert "are linearizable" in told
    assert "The role of each server" in page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("each_broker")
def test_the_command_names_the_broker_it_starts(capsys: pytest.CaptureFixture[str]) -> None:
    kind = "mosquitto" if broker.mosquitto() else "embedded"
    assert main(["demo", "--seconds", "0.2", "--nodes", "3"]) == 0
    assert f"{kind} at mqtt://127.0.0.1:" in capsys.readouterr().out


def test_the_command_fails_where_the_broker_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--broker", f"mqtt://127.0.0.1:{broker.free_port()}"]) == 1
    assert "cannot be reached" in capsys.readouterr().out


async def test_a_contradiction_fails_the_last_act() -> None:
    async with LocalCluster(3) as cluster:
        play = Demo(cluster, 0.1)
        play.notes += [Operation(1, 0.0, 1.0, ("put", "x", 1)), Operation(1, 2.0, 3.0, ("get", "x"), 2)]
        with pytest.raises(Exception, match="Not linearizable: key 'x'"):
            await play.check_history()


def test_a_report_without_a_verdict_is_no_success() -> None:
    assert not DemoReport(steps=(), network="memory", trace=Trace(), history=History()).ok
