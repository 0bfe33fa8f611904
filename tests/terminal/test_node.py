"""``pyraft-lab node`` on a leash: it ends with its owner, and where it ends earlier it says why."""

from pathlib import Path

from pyraft_lab.network import broker
from tests.commands import Start


def test_a_leashed_node_that_fails_says_why_in_its_last_line(start: Start, tmp_path: Path) -> None:
    url = f"mqtt://127.0.0.1:{broker.free_port()}"
    for _ in range(5):
        node = start("node", "--id", "1", "--broker", url, "--data", str(tmp_path), "--leash")
        assert node.wait(60) == 1, "its standard input is still open"
        assert node.stderr is not None
        assert node.stderr.read().splitlines()[-1].startswith(f"pyraft-lab: {url} cannot be reached: ")


def test_a_leashed_node_ends_with_its_owner(start: Start, tmp_path: Path) -> None:
    with broker.start() as running:
        node = start("node", "--id", "1", "--broker", running.url, "--data", str(tmp_path), "--leash", "--init")
        assert node.stderr is not None
        assert any("leads term 1" in line for line in node.stderr)
        node.communicate(timeout=60)  # which closes its standard input
        assert node.returncode == 0
