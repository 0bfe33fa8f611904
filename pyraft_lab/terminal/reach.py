"""Connect to the cluster that the command line names, within a time limit."""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pyraft_lab.errors import NetworkFailed
from pyraft_lab.network.address import Address
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.terminal import options

CONNECT_TIMEOUT = 10.0
"""Seconds that a broker may take to answer by default."""


@asynccontextmanager
async def connect_to_cluster(chosen: argparse.Namespace, *, within: float = CONNECT_TIMEOUT) -> AsyncIterator[Remote]:
    """The chosen cluster; ``NetworkFailed`` if its broker does not accept a client ``within`` seconds."""
    end = asyncio.get_running_loop().time() + within
    await _accepts_connections(Address.parse(chosen.broker), within)
    left = max(end - asyncio.get_running_loop().time(), LEAST)
    async with Remote.connect(
        chosen.broker, cluster=chosen.cluster, certificates=options.certificates(chosen), timeout=left
    ) as remote:
        yield remote


LEAST = 0.1
"""The least number of seconds left for the login after a slow connection."""


async def _accepts_connections(address: Address, within: float) -> None:
    """Check that something listens there: the client library cannot give up a connection that nobody accepts."""
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except TimeoutError:
        raise NetworkFailed(str(address), f"no answer within {within:g} s") from None
    except OSError as failed:
        why = os.strerror(failed.errno) if failed.errno is not None and failed.errno > 0 else failed.strerror
        raise NetworkFailed(str(address), why or str(failed)) from None
    writer.close()
