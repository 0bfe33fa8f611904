"""The broker for those who have none installed: amqtt, in a process of its own.

    python -m pyraft_lab.network.embedded 127.0.0.1 1883

Of the brokers that pip installs amqtt does all that a cluster asks of one: retained messages, last wills, acknowledged
delivery without a delay of 40 ms. It is kept by several people, and it is pure Python: a message through it costs about
twice what it costs through mosquitto, which is why it never runs in a loop together with nodes.
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
