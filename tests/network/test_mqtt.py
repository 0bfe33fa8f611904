import asyncio
from collections.abc import Sequence
from typing import Any

import aiomqtt
import pytest

from pyraft_lab.errors import ConfigError, DuplicateNode, NetworkFailed
from pyraft_lab.network.address import Certificates
from pyraft_lab.network.base import Connected, Disconnected, PeerReachable, PeerUnreachable, SessionTakenOver
from pyraft_lab.network.broker import Broker, free_port
from pyraft_lab.network.codec import encode
from pyraft_lab.network.connection import cancellable
from pyraft_lab.network.mqtt import MqttEndpoint, MqttNetwork
from pyraft_lab.network.presence import Claim
from tests.network.wires import Remembering, envelope


async def publish(broker: Broker, topic: str, payload: bytes) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as stranger:
        await stranger.publish(topic, payload, qos=1, retain=topic.endswith("presence"))


async def test_messages_cross_the_broker_in_order(any_broker: Broker) -> None:
    network, mailbox = MqttNetwork(any_broker.url), Remembering()
    one = await network.join(1, Remembering())
    two = await network.join(2, mailbox)
    for id in range(50):
        one.send(2, envelope(id))
    assert await mailbox.until_messages(50) == [(1, id) for id in range(50)]
    assert one.counters.frames < 50, "what is ready together leaves together"
    await one.close()
    await two.close()


async def test_clusters_on_one_broker_do_not_meet(any_broker: Broker) -> None:
    mailbox = Remembering()
    two = await MqttNetwork(any_broker.url, cluster="red").join(2, mailbox)
    blue, red = [await MqttNetwork(any_broker.url, cluster=name).join(1, Remembering()) for name in ("blue", "red")]
    blue.send(2, envelope(1))
    await blue.close()
    red.send(2, envelope(2))
    assert await mailbox.until_messages(1) == [(1, 2)]
    await red.close()
    await two.close()


async def test_peers_come_and_go(any_broker: Broker) -> None:
    network, mailbox = MqttNetwork(any_broker.url), Remembering()
    one = await network.join(1, mailbox)
    two = await network.join(2, Remembering())
    await mailbox.until(lambda box: PeerReachable(2) in box.notices)
    await two.close()
    await mailbox.until(lambda box: PeerUnreachable(2) in box.notices)
    await one.close()


async def test_a_broker_that_is_not_there_is_named_at_once() -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    with pytest.raises(NetworkFailed, match=url):
        await MqttNetwork(url).join(1, Remembering())


async def test_a_dead_broker_is_noticed_reported_and_outlived(any_broker: Broker) -> None:
    network, first, second = MqttNetwork(any_broker.url), Remembering(), Remembering()
    one, two = await network.join(1, first), await network.join(2, second)
    any_broker.kill()
    await first.until(lambda box: any(isinstance(one, Disconnected) for one in box.notices))
    one.send(2, envelope(1))
    any_broker.restart()
    for box in (first, second):
        await box.until(lambda box: box.notices.count(Connected(any_broker.url)) == 2)
    one.send(2, envelope(2))
    assert await second.until_messages(1) == [(1, 2)], "what was sent into the void is not sent late"
    assert sum(isinstance(notice, Disconnected) for notice in first.notices) == 1
    await one.close()
    await two.close()


async def test_a_second_process_under_an_id_is_refused_and_the_first_stays(any_broker: Broker) -> None:
    network, mailbox = MqttNetwork(any_broker.url), Remembering()
    one, two = await network.join(1, Remembering()), await network.join(2, mailbox)
    with pytest.raises(DuplicateNode, match="node 2"):
        await MqttNetwork(any_broker.url).join(2, Remembering())
    one.send(2, envelope(1))
    assert await mailbox.until_messages(1) == [(1, 1)]
    await one.close()
    await two.close()


async def test_the_claim_of_a_dead_process_does_not_keep_a_node_out(any_broker: Broker) -> None:
    await publish(any_broker, "pyraft/demo/1/presence", Claim(99).encode())
    one = await MqttNetwork(any_broker.url).join(1, Remembering())
    await one.close()


async def test_a_node_that_finds_itself_replaced_ends(any_broker: Broker) -> None:
    mailbox = Remembering()
    one = await MqttNetwork(any_broker.url).join(1, mailbox)
    await publish(any_broker, "pyraft/demo/1/presence", Claim(99, is_answer=True).encode())
    await mailbox.until(lambda box: SessionTakenOver(1) in box.notices)
    await one.close()


async def test_garbage_is_counted_and_dropped(any_broker: Broker) -> None:
    mailbox = Remembering()
    one = await MqttNetwork(any_broker.url).join(1, mailbox)
    two = await MqttNetwork(any_broker.url).join(2, Remembering())
    await publish(any_broker, "pyraft/demo/1/in/2", b"hello")
    await publish(any_broker, "pyraft/demo/1/in/2", b"")
    await publish(any_broker, "pyraft/demo/1/in/3", encode(2, [envelope(7)]))
    await publish(any_broker, "pyraft/demo/x/presence", b"\xc1")
    two.send(1, envelope(8))
    assert await mailbox.until_messages(1) == [(2, 8)]
    assert one.counters.garbage == 4
    await one.close()
    await two.close()


@pytest.mark.parametrize("broker", [3, None, b"mqtt://localhost", "bogus"])
def test_a_network_needs_the_address_of_a_broker(broker: Any) -> None:
    with pytest.raises(ConfigError, match="broker"):
        MqttNetwork(broker)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("qos", (2, -1, True, "1", None)),
        ("keepalive", (0, -1, 1.5, None, "5", True)),
        ("timeout", (-1, None, "5", True, float("nan"))),
        ("certificates", ("ca.pem", 3, Certificates)),
    ],
)
def test_a_network_is_made_of_sensible_things(field: str, values: Sequence[Any]) -> None:
    for value in values:
        with pytest.raises(ConfigError, match=field):
            MqttNetwork("mqtt://localhost", **{field: value})


@pytest.mark.parametrize("cluster", ["a/b", "+", "#", "", None, 3])
def test_a_cluster_cannot_be_named_like_a_wildcard(cluster: Any) -> None:
    with pytest.raises(ConfigError, match="cluster"):
        MqttNetwork("mqtt://localhost", cluster=cluster)


async def test_acknowledged_delivery_can_be_chosen(any_broker: Broker) -> None:
    network, mailbox = MqttNetwork(any_broker.url, qos=1), Remembering()
    one, two = await network.join(1, Remembering()), await network.join(2, mailbox)
    one.send(2, envelope(1))
    assert await mailbox.until_messages(1) == [(1, 1)]
    await one.close()
    await two.close()


async def test_a_node_leaves_even_where_its_broker_has_just_gone(any_broker: Broker) -> None:
    """Over and over: the end of the connection and the wish to end must not swallow each other."""
    for _ in range(10):
        one = await MqttNetwork(any_broker.url).join(1, Remembering())
        await asyncio.to_thread(any_broker.kill)
        one.send(2, envelope(1))
        async with asyncio.timeout(10):
            await one.close()
        await asyncio.to_thread(any_broker.restart)


async def test_a_cancellation_is_not_lost_when_it_comes_together_with_the_end() -> None:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    went_on = False

    async def publish() -> None:
        await asyncio.wait_for(done, 10)

    async def write() -> None:
        nonlocal went_on
        await cancellable(publish())
        went_on = True

    writing = asyncio.create_task(write())
    for _ in range(3):
        await asyncio.sleep(0)
    done.set_result(None)
    writing.cancel()
    await asyncio.wait([writing])
    assert writing.cancelled()
    assert not went_on


async def test_two_processes_of_a_node_do_not_number_their_parts_alike() -> None:
    network = MqttNetwork("mqtt://127.0.0.1:1")
    before, after = (MqttEndpoint(network, 1, Remembering()) for _ in range(2))
    assert next(before._numbers) != next(after._numbers)  # noqa: SLF001
