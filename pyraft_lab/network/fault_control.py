"""Fault control over MQTT: a teacher or a test publishes link faults, and every node that accepts them applies them.

::

    pyraft/<cluster>/weather         retained: the faults, so that a node that comes later applies them too
    pyraft/<cluster>/<node>/faults   retained: the digest of the faults that this node applies; cleared when it ends

A node that accepts fault control accepts gate commands as well (:mod:`pyraft_lab.network.remote_gate`).
"""

from hashlib import blake2b

import msgspec

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError
from pyraft_lab.network.codec import read
from pyraft_lab.network.faults import Faults, LinkFaults
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from pyraft_lab.network.remote_gate import GATE, ORDERS, carry_out

TOPIC, APPLIED = "weather", "faults"


_decoder = msgspec.msgpack.Decoder(LinkFaults)


def publish(session: MqttSession, faults: LinkFaults) -> bytes:
    """Publish link faults; returns the digest with which every node that applies them answers."""
    payload = msgspec.msgpack.encode(faults)
    session.publish(TOPIC, payload, retain=True)
    return digest(payload)


def digest(payload: bytes) -> bytes:
    """A short digest of published faults; all payloads that heal everything have the same one."""
    healed = not payload or payload == msgspec.msgpack.encode(LinkFaults())
    return blake2b(b"" if healed else payload, digest_size=8).digest()


def follow_fault_control(network: MqttNetwork, faults: Faults, *, node: NodeId | None = None) -> MqttSession:
    """A session that applies published faults to ``faults``; the caller opens it. Garbage changes nothing.

    With ``node`` the session also publishes the digest of the faults that this node applies.
    """
    applied = digest(b"")

    def tell() -> None:
        if node is not None:
            session.publish(f"{node}/{APPLIED}", applied, retain=True)

    def hear(topic: str, payload: bytes) -> None:
        nonlocal applied
        if topic != TOPIC:
            carry_out(faults.gate, topic, payload)
            return
        try:
            faults.impose(read(_decoder, payload) if payload else LinkFaults())
        except (msgspec.MsgspecError, ConfigError):
            return
        applied = digest(payload)
        tell()

    will = None if node is None else f"{node}/{APPLIED}"
    session = MqttSession(network, "weather", topics=[TOPIC, GATE, ORDERS], deliver=hear, will=will, connected=tell)
    return session
