import pytest

from pyraft_lab.cli import main
from pyraft_lab.network import broker
from pyraft_lab.runtime.demo import demonstrate
from tests.runtime.test_cluster import NETWORKS


@pytest.mark.parametrize("network", NETWORKS)
async def test_all_of_the_demonstration_happens(network: str) -> None:
    report = await demonstrate(network=network, seconds=0.4)
    assert [act.title for act in report.acts if not act.ok] == []
    assert len(report.acts) == 7


def test_the_command_tells_the_story_and_exits_with_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--network", "memory", "--seconds", "0.2", "--nodes", "3"]) == 0
    assert "All of it happened." in capsys.readouterr().out


def test_the_command_fails_where_the_broker_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--broker", f"mqtt://127.0.0.1:{broker.free_port()}"]) == 1
    assert "cannot be reached" in capsys.readouterr().out
