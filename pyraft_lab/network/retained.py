"""The retained messages of a cluster: list them, and clear them after the cluster has ended."""

import asyncio
from collections.abc import Mapping, Sequence

from pyraft_lab.network.connection import cancellable, failure
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_client import Message, MqttError

QUIET = 0.3
"""Seconds without a message after which a broker has sent all retained ones; it sends them at once."""


async def retained(network: MqttNetwork) -> Mapping[str, bytes]:
    """The retained messages of the cluster, by topic below its name; ``NetworkFailed`` without a broker."""
    kept: dict[str, bytes] = {}
    more = asyncio.Event()
    prefix = network.topic("")

    def hear(message: Message) -> None:
        if message.retain and isinstance(message.payload, bytes):
            kept[message.topic.value.removeprefix(prefix)] = message.payload
            more.set()

    try:
        async with network.connect(network.secret("list"), hear) as client:
            await cancellable(client.subscribe(network.topic("#"), qos=1))
            while await _set_within(more, QUIET):
                more.clear()
    except MqttError as failed:
        raise failure(network.address, failed) from failed
    return dict(sorted(kept.items()))


async def clear(network: MqttNetwork, topics: Sequence[str]) -> Sequence[str]:
    """Clear these topics below the cluster's name; returns those that the broker still retains."""
    try:
        async with network.connect(network.secret("clear"), lambda _: None) as client:
            for topic in topics:
                await cancellable(client.publish(network.topic(topic), b"", qos=1, retain=True))
    except MqttError as failed:
        raise failure(network.address, failed) from failed
    left = await retained(network)
    return [topic for topic in topics if topic in left]


def nodes_in(kept: Mapping[str, bytes]) -> Sequence[int]:
    """The ids of nodes with a retained presence: they are up, or the broker did not notice their end.

    >>> nodes_in({"room": b"1", "3/presence": b"2", "3/status": b"3"})
    [3]
    """
    found = [topic.split("/") for topic in kept]
    return sorted(int(levels[0]) for levels in found if levels[1:] == ["presence"] and levels[0].isdecimal())


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
