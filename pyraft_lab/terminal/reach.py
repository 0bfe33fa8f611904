"""The cluster that a command line names, reached within a time."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pyraft_lab.errors import NetworkFailed
from pyraft_lab.network.address import Address
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.terminal import words

PATIENCE = 10.0
"""Seconds that a broker may take to answer, unless somebody says otherwise."""


@asynccontextmanager
async def reach(chosen: argparse.Namespace, *, within: float = PATIENCE) -> AsyncIterator[Remote]:
    """The cluster that was chosen; ``NetworkFailed`` where its broker does not let one in within so many seconds."""
    async with AsyncExitStack() as stack:
        connecting = Remote.connect(chosen.broker, cluster=chosen.cluster, certificates=words.certificates(chosen))
        try:
            async with asyncio.timeout(within):
                remote = await stack.enter_async_context(connecting)
        except TimeoutError:
            why = f"no answer within {within:g} s"
            raise NetworkFailed(str(Address.parse(chosen.broker)), why) from None
        yield remote
