"""The broker for those who have none installed: amqtt, in a process of its own.

    python -m pyraft_lab.network.embedded 127.0.0.1 1883

Why this one: of the brokers that pip installs it is the kept one that does all a cluster asks for. Measured with
aiomqtt on two cores, a request of 1 kB and its answer, the processor's time for all processes and the median round
trip:

================== ============ ============ ========= ======================================================
broker             QoS 0        QoS 1        RTT QoS 1 and
================== ============ ============ ========= ======================================================
mosquitto 2.0      543 µs       673 µs       2 ms      passwords, access lists, TLS
amqtt 0.12         977 µs       1,650 µs     4 ms      pure Python, kept by several people
iotcore 0.4        847 µs       881 µs       46 ms     no way to set TCP_NODELAY, no access lists, 20 kB by default
moat-lib-mqtt 0.8  578 µs       -            -         speaks MQTT 5 only
================== ============ ============ ========= ======================================================

An acknowledged publish that takes 46 ms holds up every heartbeat, so iotcore is out; amqtt costs about twice what
mosquitto does, in its own loop, which is why it never runs in one with nodes.
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
