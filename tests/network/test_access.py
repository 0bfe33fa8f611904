"""A shared broker lets each in as itself, and nobody as somebody else."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import aiomqtt
import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.errors import ConfigError, DuplicateNode, NetworkFailed
from pyraft_lab.network import broker
from pyraft_lab.network.access import Account
from pyraft_lab.network.address import Certificates
from pyraft_lab.network.codec import encode
from pyraft_lab.network.fault_control import follow_fault_control
from pyraft_lab.network.faults import Faults
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from pyraft_lab.network.remote_gate import CLOSED, GATE
from pyraft_lab.runtime.raft import Raft
from tests.network.conftest import BROKERS
from tests.network.wires import Remembering, envelope

NODES = tuple(Account.node(id) for id in (1, 2, 3))
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(params=BROKERS)
def kind(request: pytest.FixtureRequest) -> broker.Kind:
    """Both brokers keep the same guard."""
    if request.param == "mosquitto" and broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    return cast("broker.Kind", request.param)


@pytest.fixture
def guarded(kind: broker.Kind) -> Iterator[broker.Broker]:
    with broker.start(kind=kind, access_control=broker.AccessControl(accounts=NODES)) as running:
        yield running


async def test_each_node_is_let_in_as_itself(guarded: broker.Broker) -> None:
    mailbox = Remembering()
    one = await MqttNetwork(NODES[0].url(guarded.url)).join(1, mailbox)
    two = await MqttNetwork(NODES[1].url(guarded.url)).join(2, Remembering())
    two.send(1, envelope(7))
    assert await mailbox.until_messages(1) == [(2, 7)]
    await one.close()
    await two.close()


async def test_a_node_started_twice_is_refused_behind_a_guard_as_well(guarded: broker.Broker) -> None:
    one = await MqttNetwork(NODES[0].url(guarded.url)).join(1, Remembering())
    with pytest.raises(DuplicateNode, match="node 1"):
        await MqttNetwork(NODES[0].url(guarded.url)).join(1, Remembering())
    await one.close()


async def test_a_wrong_password_is_refused(guarded: broker.Broker) -> None:
    for wrong in ("", "1:guessed@", "nobody:x@"):
        url = guarded.url.replace("://", f"://{wrong}")
        with pytest.raises(NetworkFailed, match=r"(?i)not authori[sz]ed"):
            await MqttNetwork(url).join(1, Remembering())


async def test_no_node_can_speak_for_another(guarded: broker.Broker) -> None:
    mailbox = Remembering()
    one = await MqttNetwork(NODES[0].url(guarded.url)).join(1, mailbox)
    three = MqttNetwork(NODES[2].url(guarded.url))
    async with MqttSession(three, "forger", topics=[], deliver=lambda *_: None) as line:
        line.publish("1/in/2", encode(2, [envelope(666)]))
        line.publish("1/in/3", encode(3, [envelope(7)]))
        assert await mailbox.until_messages(1) == [(3, 7)], "the forged envelope went first and did not arrive"
    with pytest.raises(NetworkFailed, match="check that the node may write to its topic"):
        await MqttNetwork(NODES[2].url(guarded.url), timeout=0.5).join(2, Remembering())
    await one.close()


async def test_a_teacher_may_hold_up_messages_and_a_client_may_not(kind: broker.Kind) -> None:
    node, guest, teacher = NODES[0], Account(name="ann", part="client"), Account(name="eve", part="teacher")
    with broker.start(kind=kind, access_control=broker.AccessControl(accounts=(node, guest, teacher))) as running:
        network = MqttNetwork(node.url(running.url))
        faults = Faults(network)
        async with follow_fault_control(network, faults):
            for account, is_obeyed in ((guest, False), (teacher, True)):
                async with MqttSession(MqttNetwork(account.url(running.url)), "x", topics=[], deliver=ignore) as line:
                    line.publish(GATE, CLOSED, retain=True)
                for _ in range(100):
                    if faults.gate.is_closed:
                        break
                    await asyncio.sleep(0.01)
                assert faults.gate.is_closed is is_obeyed


def ignore(_topic: str, _payload: bytes) -> None:
    pass


def signed(home: Path, name: str, *, by: str | None = None) -> Certificates:
    """A certificate for 127.0.0.1: an authority's own, or one signed by an authority made before."""
    key, certificate = home / f"{name}.key", home / f"{name}.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}"]
    if by is None:
        words += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]  # which Python asks for since 3.13
    else:
        words += ["-CA", str(home / f"{by}.pem"), "-CAkey", str(home / f"{by}.key")]
        words += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(words, check=True, capture_output=True)
    return Certificates(authority=str(home / f"{by or name}.pem"), certificate=str(certificate), key=str(key))


@needs_openssl
@pytest.mark.parametrize("scheme", ["mqtts", "wss"])
async def test_a_cluster_lives_behind_tls_and_accounts(kind: broker.Kind, scheme: str, tmp_path: Path) -> None:
    if scheme == "wss":
        pytest.importorskip("websockets")
    trusted, stranger = signed(tmp_path, "authority"), signed(tmp_path, "stranger")
    server = signed(tmp_path, "server", by="authority")
    control = broker.AccessControl(accounts=NODES, certificates=server)
    with broker.start(kind=kind, access_control=control, websocket_port=0 if scheme == "wss" else None) as running:
        url = running.websocket_url or running.url
        assert url.startswith(f"{scheme}://")
        ours = Certificates(authority=trusted.authority)
        rafts = [
            Raft(
                id,
                config=Config(election_timeout=(1.0, 2.0)),
                network=MqttNetwork(account.url(url), certificates=ours),
            )
            for id, account in enumerate(NODES, 1)
        ]
        for raft in rafts:
            await raft.start()
        await rafts[0].initialize({1, 2, 3})
        leader = rafts[((await rafts[0].wait(10).leader()).leader or 1) - 1]
        assert (await leader.client_write({"op": "incr", "key": "x"})).value == 1
        for raft in rafts:
            await raft.shutdown()
        theirs = Certificates(authority=stranger.authority)
        with pytest.raises(NetworkFailed, match=r"(?i)certificate"):
            await MqttNetwork(NODES[0].url(url), certificates=theirs, timeout=2).join(1, Remembering())


def test_an_account_is_named_once() -> None:
    with pytest.raises(ConfigError, match=r"accounts='ann'.*must be unique"):
        broker.AccessControl(accounts=(Account(name="ann", part="client"), Account(name="ann", part="teacher")))


def test_the_client_id_of_a_node_follows_from_nothing_that_others_see() -> None:
    """A broker ends a connection when another one comes under its client id, whoever that is."""
    network = MqttNetwork("mqtt://localhost")
    assert network.secret(1) != network.secret(1)


async def test_messages_that_a_broker_kept_are_not_delivered(any_broker: broker.Broker) -> None:
    async with aiomqtt.Client("127.0.0.1", any_broker.port) as stranger:
        await stranger.publish("pyraft/demo/2/in/1", encode(1, [envelope(666)]), qos=1, retain=True)
    mailbox = Remembering()
    two = await MqttNetwork(any_broker.url).join(2, mailbox)
    one = await MqttNetwork(any_broker.url).join(1, Remembering())
    one.send(2, envelope(7))
    assert await mailbox.until_messages(1) == [(1, 7)]
    await one.close()
    await two.close()
