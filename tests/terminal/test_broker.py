"""``pyraft-lab broker``: accounts whose passwords stay, and errors before anything runs."""

import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyraft_lab.cli import main
from pyraft_lab.network import broker
from tests.commands import Start

ACCOUNTS = ["--nodes", "1", "--clients", "ann", "--teacher", "eve"]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the passwords of a test are."""
    monkeypatch.delenv("PYRAFT_PASSWORD", raising=False)
    monkeypatch.setenv("PYRAFT_PASSWORDS", str(tmp_path / "passwords"))
    return tmp_path / "passwords"


def urls(start: Start, port: int) -> Sequence[str]:
    """What a guarded broker prints; it has ended then."""
    process = start("broker", *ACCOUNTS, "--port", str(port))
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    return [line.split()[-1] for line in lines]


def test_the_passwords_of_a_broker_are_the_same_when_it_starts_again(start: Start) -> None:
    port = broker.free_port()
    first = urls(start, port)
    assert urls(start, port) == first
    assert len(set(first)) == 3


def test_clients_on_the_same_machine_need_no_password_in_their_url(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start("broker", *ACCOUNTS)
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1].replace("//1:", "//ann:")
    place = url.rpartition("@")[2]
    assert main(["client", "--broker", f"mqtt://ann@{place}", "--timeout", "0.3", "status"]) == 1
    assert "the status of any node" in capsys.readouterr().err, "let in, and nobody was there"
    assert main(["client", "--broker", f"mqtt://bob@{place}", "--timeout", "0.3", "status"]) == 1
    assert "no password was found: put it into the URL or PYRAFT_PASSWORD" in capsys.readouterr().err


def test_a_name_is_taken_once(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    assert main(["broker", "--clients", "ann", "--teacher", "ann"]) == 1
    assert "'ann': must be unique" in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.parametrize(
    "arguments", [["--port", "65536"], ["--port", "-1"], ["--clients", "a/b"], ["--clients", "ann,"]]
)
def test_what_makes_no_sense_is_refused(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["broker", *arguments])
    assert f"argument {arguments[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["mosquitto", "embedded"])
def test_a_port_in_use_is_named(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    if kind == "mosquitto" and broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["broker", "--kind", kind, "--port", port]) == 1
    told = capsys.readouterr().err
    assert port in told
    assert "in use" in told


def test_a_broker_that_everybody_reaches_says_so_unless_it_knows_accounts(start: Start) -> None:
    for accounts, is_told in (([], True), (ACCOUNTS, False)):
        process = start("broker", "--host", "0.0.0.0", *accounts)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert ("without accounts, everybody in this network" in process.communicate()[1]) is is_told
