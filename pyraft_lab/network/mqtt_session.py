"""An MQTT session: a connection to a broker that reconnects, for followers, RPC clients and RPC servers.

It subscribes again at every connection. A message published while the connection is down is lost: callers retry, and
``connected`` publishes retained messages again.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self, cast

from msgspec import Struct

from pyraft_lab.errors import first_error
from pyraft_lab.network.codec import Garbage
from pyraft_lab.network.connection import cancellable, failure
from pyraft_lab.network.mqtt import MqttNetwork, next_backoff
from pyraft_lab.network.mqtt_client import Client, Message, MqttError, Will, is_published
from pyraft_lab.network.parts import LARGE, MARK, Assembly, in_parts, numbers, read_part

log = logging.getLogger(__name__)
GOODBYE_TIMEOUT = 1.0
"""Seconds that the last messages of a session may take."""
Deliver = Callable[[str, bytes], None]
"""Takes the last levels of a topic (after the cluster's name) and the payload."""
DeliverAll = Callable[[str, Sequence[bytes]], None]
"""Takes the same of a message with attachments: the payload, and then these."""


class Publication(Struct, frozen=True):
    """An outgoing message."""

    topic: str
    payload: bytes
    retain: bool = False


class MqttSession:
    """A session for ``name``; ``topics`` are below the cluster's topic, and so are those passed to ``deliver``.

    ``hears_kept=False`` ignores retained messages: an old RPC call must not be answered later.

    A message with attachments goes to ``deliver_all``, if it is given.

    ``will`` is a topic that is cleared when the connection breaks or is closed; ``connected`` is called at each
    connection, ``lost`` at each break.
    """

    def __init__(
        self,
        network: MqttNetwork,
        name: str,
        *,
        topics: Sequence[str],
        deliver: Deliver,
        will: str | None = None,
        hears_kept: bool = True,
        deliver_all: DeliverAll | None = None,
        connected: Callable[[], None] = lambda: None,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._network, self._topics, self._deliver = network, topics, deliver
        self._deliver_all = deliver_all or (lambda topic, pieces: deliver(topic, pieces[0]))
        self._connected, self._lost = connected, lost
        self._name = network.secret(name)
        self._deadline = asyncio.get_running_loop().time() + network.timeout
        self._will, self._wants_retained = will, hears_kept
        self._waiting: deque[Publication] = deque()
        self._numbers, self._assembly = numbers(), Assembly()
        self._ready = asyncio.Event()
        self._up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeping: asyncio.Task[None] | None = None
        self._client: Client | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect for the first time; ``NetworkFailed`` says why that failed."""
        self._keeping = asyncio.create_task(self._keep(), name=self._name)
        try:
            await self._up
        except BaseException:
            await self.close()
            raise

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        divide: bool = False,
        attached: Sequence[bytes] = (),
    ) -> None:
        """Publish a message if the session is connected.

        ``divide`` sends a large one in parts, to another session; so does one that has something ``attached``.
        """
        if self._client is not None:
            is_divided = attached or (divide and len(payload) > LARGE)
            payloads = in_parts(0, next(self._numbers), [payload, *attached]) if is_divided else (payload,)
            self._waiting.extend(Publication(self._topic(topic), one, retain) for one in payloads)
            self._ready.set()

    async def close(self) -> None:
        """Disconnect after the waiting messages have left; the topic of the will is cleared at once."""
        client, self._client = self._client, None
        if client is not None:
            await self._publish_goodbye(client)
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _publish_goodbye(self, client: Client) -> None:
        if self._will is not None:
            self._waiting.append(Publication(self._topic(self._will), b"", retain=True))
        with suppress(MqttError, TimeoutError):  # the broker ended first
            async with asyncio.timeout(GOODBYE_TIMEOUT):
                await self._publish_all(client)

    def _topic(self, topic: str) -> str:
        return f"pyraft/{self._network.cluster}/{topic}"

    async def _keep(self) -> None:
        backoff = 0.0
        while True:
            began = asyncio.get_running_loop().time()
            why = await cancellable(self._session())
            self._client = None
            self._waiting.clear()
            if self._up.done():
                log.info("%s lost its connection to %s: %s", self._name, self._network.address, why)
                self._lost()
            elif not self._network.may_try_again(why, self._deadline):
                self._up.set_exception(failure(self._network.address, why))
                return
            backoff = next_backoff(backoff, asyncio.get_running_loop().time() - began)
            await asyncio.sleep(random.uniform(backoff / 2, backoff))

    async def _session(self) -> Exception:
        """One connection; returns the reason of its end."""
        end: Exception = ConnectionError("the connection ended")
        will = None if self._will is None else Will(self._topic(self._will), b"", qos=1, retain=True)
        try:
            async with (
                self._network.connect(self._name, self._on_message, will=will) as client,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(_read(client))
                if self._topics:
                    await cancellable(client.subscribe([(self._topic(topic), 1) for topic in self._topics]))
                self._client = client
                self._connected()
                if not self._up.done():
                    self._up.set_result(None)
                group.create_task(self._write(client))
        except* MqttError as ended:
            end = cast("MqttError", first_error(ended))
        return end

    async def _write(self, client: Client) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            await self._publish_all(client)

    async def _publish_all(self, client: Client) -> None:
        while self._waiting:
            one = self._waiting.popleft()
            if not is_published(client, one.topic, one.payload, retain=one.retain):
                await cancellable(client.publish(one.topic, one.payload, retain=one.retain))

    def _on_message(self, message: Message) -> None:
        prefix = len(self._topic(""))
        if isinstance(message.payload, bytes):
            if message.retain and not self._wants_retained:
                return
            try:
                self._take(message.topic.value, message.topic.value[prefix:], message.payload)
            except Exception:  # untrusted messages: an error here must not end the client library's thread
                log.exception("%s could not handle a message on %s", self._name, message.topic)

    def _take(self, sender: str, topic: str, payload: bytes) -> None:
        """Deliver a message, once all of its parts have arrived; garbage is dropped."""
        if not payload.startswith(MARK):
            self._deliver(topic, payload)
            return
        with suppress(Garbage):
            pieces = self._assembly.take(sender, read_part(payload))
            if pieces is not None:
                self._deliver_all(topic, pieces)


async def _read(client: Client) -> None:
    """Wait for the end of the connection; messages are delivered directly."""
    async for _ in client.messages:
        pass
