"""The broker for those who have none installed: amqtt, in a process of its own.

    python -m pyraft_lab.network.embedded 127.0.0.1 1883

Why this one: of the brokers that pip installs it is the kept one that does all a cluster asks for. A request of 1 kB
and its answer, the processor's time of all processes and the median round trip, on two cores
(``python -m tests.bench.brokers``):

================== ================ ================ ============================================================
broker             QoS 0            QoS 1            and
================== ================ ================ ============================================================
mosquitto 2.0      230 µs, 0.2 ms   308 µs, 0.3 ms   passwords, access lists, TLS
amqtt 0.12         667 µs, 0.6 ms   850 µs, 0.8 ms   pure Python, kept by several people
iotcore 0.4        262 µs, 0.3 ms   866 µs, 44 ms    no way to set TCP_NODELAY, no access lists, 20 kB by default
moat-lib-mqtt 0.8  -                -                speaks MQTT 5 only; nodes speak 3.1.1
================== ================ ================ ============================================================

An acknowledged publish that takes 44 ms holds up every heartbeat, so iotcore is out, cheap as it is at QoS 0. amqtt
costs about three times what mosquitto does, in its own loop, which is why it never runs in one with nodes.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence

from amqtt.broker import Broker
from amqtt.errors import BrokerError

READY = "embedded broker running"
"""What it says on standard error once it accepts connections."""


def main(arguments: Sequence[str]) -> int:
    """Serve at the host and port that are the arguments, until the process is killed."""
    logging.disable(logging.CRITICAL)  # amqtt reports every client that hangs up
    try:
        asyncio.run(serve(arguments[0], int(arguments[1])))
    except BrokerError as failed:
        sys.stderr.write(f"Error: {failed.__cause__ or failed}\n")
        return 1
    return 0


async def serve(host: str, port: int) -> None:
    """Run the broker; returns never, raises ``BrokerError`` where it cannot begin."""
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    sys.stderr.write(READY + "\n")
    sys.stderr.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
