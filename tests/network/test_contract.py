"""What every network promises, in memory and over each broker; what holds here is all that Raft relies on."""

from collections.abc import Iterator

import pytest

from pyraft_lab.errors import DuplicateNode
from pyraft_lab.network import broker
from pyraft_lab.network.base import MemoryNetwork, Network
from pyraft_lab.network.faults import Faults
from pyraft_lab.network.mqtt import MqttNetwork
from tests.network.wires import Remembering, envelope, heavy


@pytest.fixture(params=["memory", "faults", "mosquitto", "embedded"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """Each network in turn."""
    match request.param:
        case "memory":
            yield MemoryNetwork()
        case "faults":
            yield Faults(MemoryNetwork())
        case kind:
            if kind == "mosquitto" and broker.mosquitto() is None:
                pytest.skip("mosquitto is not installed")
            with broker.start(kind=kind) as running:
                yield MqttNetwork(running.url)


async def test_messages_of_one_sender_arrive_in_order(network: Network) -> None:
    mailbox = Remembering()
    one, two = await network.join(1, Remembering()), await network.join(2, mailbox)
    for id in range(1, 101):
        one.send(2, envelope(id))
    assert await mailbox.until_messages(100) == [(1, id) for id in range(1, 101)]
    assert (one.counters.sent, two.counters.received) == (100, 100)
    await one.close()
    await two.close()
    await network.close()


async def test_a_node_is_there_once(network: Network) -> None:
    one = await network.join(1, Remembering())
    with pytest.raises(DuplicateNode):
        await network.join(1, Remembering())
    await one.close()
    again = await network.join(1, Remembering())
    await again.close()
    await network.close()


async def test_sending_to_nobody_and_after_closing_is_no_error(network: Network) -> None:
    one = await network.join(1, Remembering())
    one.send(7, envelope(1))
    await one.close()
    one.send(7, envelope(2))
    await network.close()


async def test_a_message_larger_than_a_frame_goes_alone(network: Network) -> None:
    mailbox = Remembering()
    one, two = await network.join(1, Remembering()), await network.join(2, mailbox)
    one.send(2, envelope(1))
    one.send(2, heavy(2, 700_000))
    one.send(2, envelope(3))
    assert await mailbox.until_messages(3) == [(1, 1), (1, 2), (1, 3)]
    assert one.counters.frames >= 2
    await one.close()
    await two.close()
    await network.close()
