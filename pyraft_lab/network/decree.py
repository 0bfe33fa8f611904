"""Bad weather by order: a teacher, or a test, publishes how the links are to be, and every node that listens obeys.

The decree is retained on ``pyraft/<cluster>/weather``, so that a node that comes later obeys it too. Who listens to
the weather listens to the gate as well (:mod:`pyraft_lab.network.porter`).
"""

import msgspec

from pyraft_lab.network.codec import read
from pyraft_lab.network.faults import Decree, Faults
from pyraft_lab.network.line import Line
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.porter import GATE, LETTERS, work

TOPIC = "weather"


_decoder = msgspec.msgpack.Decoder(Decree)


def publish(line: Line, decree: Decree) -> None:
    """Tell everybody."""
    line.publish(TOPIC, msgspec.msgpack.encode(decree), retain=True)


def obey(network: MqttNetwork, faults: Faults) -> Line:
    """A line over which ``faults`` hears and obeys; to be opened by the caller. Garbage changes nothing."""

    def hear(topic: str, payload: bytes) -> None:
        if topic != TOPIC:
            work(faults.gate, topic, payload)
            return
        try:
            decree = read(_decoder, payload) if payload else Decree()
        except msgspec.MsgspecError:
            return
        faults.impose(decree)

    return Line(network, "weather", topics=[TOPIC, GATE, LETTERS], deliver=hear)
