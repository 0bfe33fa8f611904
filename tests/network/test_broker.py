import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pyraft_lab.errors import NetworkFailed
from pyraft_lab.network import broker


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_broker_serves_until_it_is_stopped(any_broker: broker.Broker) -> None:
    assert is_open(any_broker.port)
    any_broker.stop()
    assert not is_open(any_broker.port)


def test_a_killed_broker_comes_back_on_its_port(any_broker: broker.Broker) -> None:
    before = any_broker.pid
    any_broker.kill()
    assert not is_open(any_broker.port)
    any_broker.restart()
    assert is_open(any_broker.port)
    assert any_broker.pid != before


def test_a_taken_port_is_a_clear_error(any_broker: broker.Broker) -> None:
    with pytest.raises(NetworkFailed, match=f"{any_broker.port}.*in use"):
        broker.start(port=any_broker.port, kind=any_broker.kind)


@pytest.mark.usefixtures("each_broker")
@pytest.mark.parametrize("listener", range(2), ids=("WebSockets", "MQTT"))
def test_a_port_that_was_free_and_is_taken_is_not_the_last_word(listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
    free_port, asked = broker.free_port, list[int]()
    with socket.create_server(("127.0.0.1", 0)) as first:

        def port_that_was_free() -> int:
            asked.append(first.getsockname()[1] if len(asked) == listener else free_port())
            return asked[-1]

        monkeypatch.setattr(broker, "free_port", port_that_was_free)
        with broker.start(websocket_port=0) as running:
            assert [running.websocket_port, running.port] == asked[-2:]
            assert len(asked) == 4


@pytest.mark.usefixtures("each_broker")
def test_a_broker_dies_with_its_owner_however_that_dies() -> None:
    kind = "mosquitto" if broker.mosquitto() else "embedded"
    program = f"from pyraft_lab.network import broker; print(broker.start(kind={kind!r}).port, flush=True); input()"
    command, here = [sys.executable, "-c", program], Path.cwd()
    with subprocess.Popen(command, text=True, cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        port = int(owner.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            owner.kill()
            owner.wait()
            with suppress(ConnectionResetError):  # another way of hanging up
                assert client.recv(1) == b""  # the broker hung up, for it is gone
