"""``pyraft-lab client``: what an operator asks for when nodes leave and rooms are over."""

from pathlib import Path

import pytest

from pyraft_lab.cli import main
from pyraft_lab.network import broker
from tests.commands import Start


def test_what_a_room_left_behind_is_cleared_once_it_is_named_and_nobody_is_up(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with broker.start() as running:
        client = ["client", "--broker", running.url, "--timeout", "60"]
        data = ["--data", str(tmp_path / "1")]
        node = start("node", "--broker", running.url, *data, "--id", "1", "--init", "--weather")
        assert main([*client, "put", "x", "1"]) == 0
        assert main([*client, "loss", "0.5"]) == 0
        assert main([*client, "clear", "demo"]) == 1
        assert "nodes 1 of cluster demo are up; stop them first, or clear with --force" in capsys.readouterr().err
        node.terminate()
        assert node.wait(20) == 0
        assert main([*client, "clear"]) == 0
        told = capsys.readouterr().out
        assert "weather" in told
        assert "to clear them: clear demo" in told
        assert main([*client, "clear", "demo"]) == 0
        assert main([*client, "clear"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "the broker keeps no messages of cluster demo"
