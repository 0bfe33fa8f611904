from pyraft_lab.network.access import Account
from pyraft_lab.network.broker import AccessControl, Broker, start
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from pyraft_lab.network.retained import clear, nodes_in, retained
from tests.network.wires import Remembering


async def keep(network: MqttNetwork, *topics: str) -> None:
    async with MqttSession(network, "x", topics=[], deliver=lambda *_: None) as line:
        for topic in topics:
            line.publish(topic, b"kept", retain=True)


async def test_what_a_broker_keeps_of_one_cluster_is_listed_and_cleared(any_broker: Broker) -> None:
    red, blue = (MqttNetwork(any_broker.url, cluster=name) for name in ("red", "blue"))
    for network in (red, blue):
        await keep(network, "room", "players/ann/1", "3/status")
    kept = await retained(red)
    assert kept == {"3/status": b"kept", "players/ann/1": b"kept", "room": b"kept"}
    assert await clear(red, tuple(kept)) == []
    assert await retained(red) == {}
    assert len(await retained(blue)) == 3


async def test_the_nodes_that_are_up_are_among_it(any_broker: Broker) -> None:
    network = MqttNetwork(any_broker.url)
    one = await network.join(7, Remembering())
    assert nodes_in(await retained(network)) == [7]
    await one.close()
    assert nodes_in(await retained(network)) == []


async def test_a_teacher_may_clear_a_room_and_a_client_learns_that_it_may_not() -> None:
    guest, teacher = Account(name="ann", part="client"), Account(name="eve", part="teacher")
    with start(kind="embedded", access_control=AccessControl(accounts=(guest, teacher))) as running:
        ann, eve = (MqttNetwork(account.url(running.url)) for account in (guest, teacher))
        await keep(eve, "room", "1/presence", "players/bob/1", "gate", "weather", "1/ask/bob")
        assert await clear(ann, ["1/presence"]) == ["1/presence"]
        kept = await retained(eve)
        assert len(kept) == 6
        assert await clear(eve, tuple(kept)) == []
