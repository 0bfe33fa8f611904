"""The first connection: tried again where a broker hesitates, an error with advice where it will never be."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

import aiomqtt
import pytest

from pyraft_lab.errors import NetworkFailed
from pyraft_lab.network.access import Account
from pyraft_lab.network.address import Address
from pyraft_lab.network.broker import AccessControl, Broker, start
from pyraft_lab.network.connection import failure
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from tests.network.wires import Remembering

Meet = Callable[[StreamReader, StreamWriter], Coroutine[None, None, None]]


@asynccontextmanager
async def served(meet: Meet) -> AsyncIterator[str]:
    """The URL of something that is no broker."""
    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def pipe(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    await hang_up(reader, writer)


async def hang_up(_: StreamReader, writer: StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def hesitant(broker: Broker) -> AsyncIterator[str]:
    """A broker that hangs up on the first three clients."""
    visits = iter(range(1000))

    async def meet(reader: StreamReader, writer: StreamWriter) -> None:
        if next(visits) < 3:
            await hang_up(reader, writer)
            return
        far, there = await asyncio.open_connection("127.0.0.1", broker.port)
        await asyncio.gather(pipe(reader, there), pipe(far, writer))

    async with served(meet) as url:
        yield url


async def test_a_node_and_a_line_outlive_a_broker_that_hangs_up_at_first(any_broker: Broker) -> None:
    async with hesitant(any_broker) as url:
        one = await MqttNetwork(url).join(1, Remembering())
        await one.close()
    async with hesitant(any_broker) as url, MqttSession(MqttNetwork(url), "x", topics=[], deliver=lambda *_: None):
        pass


async def say_nothing(reader: StreamReader, writer: StreamWriter) -> None:
    await reader.read()
    await hang_up(reader, writer)


@pytest.mark.parametrize(
    ("meet", "why"), [(hang_up, "it closed the connection before it answered"), (say_nothing, "in time")]
)
async def test_a_first_connection_is_given_up_when_its_time_is_over(meet: Meet, why: str) -> None:
    async with served(meet) as url:
        with pytest.raises(NetworkFailed, match=f"{why}; check that it is an MQTT broker"):
            await MqttNetwork(url, timeout=0.3).join(1, Remembering())
        with pytest.raises(NetworkFailed, match=f"{why}; check that it is an MQTT broker"):
            await MqttSession(MqttNetwork(url, timeout=0.3), "x", topics=[], deliver=lambda *_: None).open()


async def test_a_refusal_says_which_account_was_refused_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with start(kind="embedded", access_control=AccessControl(accounts=(Account(name="ann", part="client"),))) as broker:
        monkeypatch.setenv("PYRAFT_PASSWORDS", "/no/such/file")
        for user, advice in (
            ("", "it requires a name and a password"),
            ("ann:guessed@", "does not know 'ann' with this password; check them"),
            ("ann@", "no password was found: put it into the URL or PYRAFT_PASSWORD"),
        ):
            with pytest.raises(NetworkFailed, match=advice):
                await MqttNetwork(broker.url.replace("://", f"://{user}")).join(1, Remembering())


@pytest.mark.parametrize(
    ("problem", "advice"),
    [
        ("CA cert does not include key usage extension", "keyUsage=critical,keyCertSign"),
        ("Missing Authority Key Identifier", "keyUsage=critical,keyCertSign"),
        ("self-signed certificate in certificate chain", "--cafile"),
    ],
)
def test_a_certificate_that_is_refused_comes_with_advice(problem: str, advice: str) -> None:
    wrong = ssl.SSLCertVerificationError(1, problem)
    wrong.verify_message = problem
    why = aiomqtt.MqttError(problem)
    why.__cause__ = wrong
    assert advice in str(failure(Address.parse("mqtts://localhost"), why))
