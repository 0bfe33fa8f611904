"""A classroom as its teacher arranges it: how fast clocks run, who plays by hand, whether answers count for real.

The arrangement is retained on ``pyraft/<cluster>/room``, so that who comes later finds it there too.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.rules import Rules
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError
from pyraft_lab.network.base import Network
from pyraft_lab.network.codec import read
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.trace.record import Record

TOPIC = "room"
SLOWEST = 1000


class Room(Struct, frozen=True, kw_only=True):
    """``pace`` is by how much every timer is longer than usual; ``by_hand`` names the nodes that are played by hand.

    ``for_real``: a wrong answer is what is done; else what Raft says is done, and the answer only marked.
    """

    pace: float = 1.0
    by_hand: frozenset[NodeId] = frozenset()
    for_real: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.pace <= SLOWEST:
            raise ConfigError("pace", self.pace, f"must be between 1 and {SLOWEST}")


class Playing(Struct, frozen=True, kw_only=True):
    """How somebody plays: how many answers were right of how many, and what is asked now."""

    by_hand: bool
    right: int = 0
    given: int = 0
    asked: str = ""


class SeatPlayer(Protocol):
    """Who may play a node by hand (:mod:`pyraft_lab.exercises.player`); also an observer of it."""

    @property
    def rules(self) -> Rules:
        """The rules its node follows."""

    def wrap_network(self, network: Network) -> Network:
        """The network through which its node is to hear the others."""

    async def play(self, raft: Raft) -> None:
        """The node runs; play it until this is cancelled."""

    def on_room(self, room: Room) -> None:
        """The teacher has arranged the room."""

    def __call__(self, record: Record) -> None:
        """See what the node did."""


def publish(line: MqttSession, room: Room) -> None:
    """Tell everybody in the room."""
    line.publish(TOPIC, msgspec.msgpack.encode(room), retain=True)


def watch_room(network: MqttNetwork, hear: Callable[[Room], None]) -> MqttSession:
    """A line over which ``hear`` is told of every arrangement; to be opened by the caller. Garbage changes nothing."""

    def listen(_topic: str, payload: bytes) -> None:
        try:
            room = decode(payload)
        except msgspec.MsgspecError:
            return
        hear(room)

    return MqttSession(network, "room", topics=[TOPIC], deliver=listen)


def decode(payload: bytes) -> Room:
    """An arrangement as it travelled; ``msgspec.MsgspecError`` for garbage."""
    return read(_decoder, payload) if payload else Room()


def encode_playing(playing: Playing) -> bytes:
    """As it travels, retained on ``pyraft/<cluster>/players/<client>/<node>``."""
    return msgspec.msgpack.encode(playing)


def decode_playing(payload: bytes) -> Playing:
    """As it was sent; ``msgspec.MsgspecError`` for garbage."""
    return read(_playing, payload)


_playing = msgspec.msgpack.Decoder(Playing)
_decoder = msgspec.msgpack.Decoder(Room)


def slowed(now: Config, usual: Config, pace: float) -> Config:
    """The settings of now, with the usual times made longer.

    >>> slowed(Config(enable_elect=False), Config(), 10).election_timeout
    (1.5, 3.0)
    """
    shortest, longest = usual.election_timeout
    return replace(
        now,
        election_timeout=(shortest * pace, longest * pace),
        heartbeat_interval=usual.heartbeat_interval * pace,
        retry_timeout=usual.retry_timeout * pace,
        retry_limit=usual.retry_limit * pace,
    )
