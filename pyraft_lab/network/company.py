"""If several clusters of one name start at one broker at the same time, only the first one stays.

The broker puts all claims of the name in one order. Nothing is retained: a starting cluster claims its name, receives
its own claim from the broker, and waits a moment for an answer. A cluster whose claim was first answers each later
claim, for as long as it is up::

    claim 7 ──▶ claim 9 ──▶ answer to 9: cluster 9 is refused
"""

import asyncio
import logging
import secrets

import msgspec
from msgspec import Struct

from pyraft_lab.errors import PyraftError, Timeout
from pyraft_lab.network.codec import read
from pyraft_lab.network.mqtt_session import MqttSession

TOPIC = "claims"
MOMENT = 0.5
"""Seconds that an earlier claimant may take to answer."""
log = logging.getLogger(__name__)


class ClaimMessage(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The run ``run`` of a cluster claims the name, or answers the claim of the run ``answered``."""

    run: int
    answered: int = 0


_decoder = msgspec.msgpack.Decoder(ClaimMessage)


class NameClaim:
    """One cluster's claim of its name; ``hear`` receives the messages on the topic :data:`TOPIC`."""

    def __init__(self, cluster: str) -> None:
        self._cluster, self._run = cluster, secrets.randbits(48) + 1
        self._is_out = asyncio.Event()
        self._is_heard = asyncio.Event()
        self._session: MqttSession | None = None

    async def make(self, session: MqttSession, *, seconds: float = 10.0) -> None:
        """Claim the name; ``PyraftError`` if another cluster has it, ``Timeout`` if the broker does not answer."""
        self._session = session
        self._publish(ClaimMessage(self._run))
        try:
            async with asyncio.timeout(seconds):
                await self._is_heard.wait()
        except TimeoutError:
            raise Timeout(f"an echo of the claim of the name {self._cluster!r}", seconds) from None
        try:
            async with asyncio.timeout(MOMENT):
                await self._is_out.wait()
        except TimeoutError:
            return
        raise PyraftError(
            f"a cluster {self._cluster!r} is already up or starting at this broker; stop it, or take another name="
        )

    def on_message(self, _: str, payload: bytes) -> None:
        """Handle a claim, this cluster's or another's, or an answer to one."""
        try:
            claim = read(_decoder, payload)
        except msgspec.MsgspecError as wrong:
            log.warning("cluster %s dropped garbage on %s: %s", self._cluster, TOPIC, wrong)
            return
        if claim.answered == self._run:
            self._is_out.set()
        elif claim.run == self._run:
            self._is_heard.set()
        elif self._is_heard.is_set() and not claim.answered:
            self._publish(ClaimMessage(self._run, claim.run))

    def _publish(self, claim: ClaimMessage) -> None:
        assert self._session is not None, "an echo follows only a claim that was made"
        self._session.publish(TOPIC, msgspec.msgpack.encode(claim))
