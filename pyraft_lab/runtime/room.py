"""A teacher's settings of a classroom: the pace of the clocks, the nodes played by hand, and whether answers count.

The settings are retained on ``pyraft/<cluster>/room``, so that nodes that come later get them, too.
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
LONGEST_NAME = 32
"""The characters of a learner's name."""


class Room(Struct, frozen=True, kw_only=True):
    """``pace`` multiplies every timer; ``by_hand`` names the nodes that are played by hand.

    With ``for_real`` a node follows a wrong answer; without it, the node follows Raft, and the answer is only marked.
    """

    pace: float = 1.0
    by_hand: frozenset[NodeId] = frozenset()
    for_real: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.pace <= SLOWEST:
            raise ConfigError("pace", self.pace, f"must be between 1 and {SLOWEST}")


class Playing(Struct, frozen=True, kw_only=True):
    """How a node is played: the number of right answers, of all answers, the present question, the learner's name.

    A node that ``stands_back`` leaves it to others to lead: its tab is hidden, or late.
    """

    by_hand: bool
    right: int = 0
    given: int = 0
    asked: str = ""
    name: str = ""
    stands_back: bool = False


class SeatPlayer(Protocol):
    """A player of a node (:mod:`pyraft_lab.exercises.player`); also an observer of its records."""

    @property
    def rules(self) -> Rules:
        """The rules that the node follows."""

    def wrap_network(self, network: Network) -> Network:
        """The network through which the node receives the others' messages."""

    async def play(self, raft: Raft) -> None:
        """Play the running node until cancelled."""

    def on_room(self, room: Room) -> None:
        """The teacher changed the room settings."""

    def __call__(self, record: Record) -> None:
        """Observe a record of the node."""


def publish(line: MqttSession, room: Room) -> None:
    """Publish the settings to everybody in the room."""
    line.publish(TOPIC, msgspec.msgpack.encode(room), retain=True)


def watch_room(network: MqttNetwork, hear: Callable[[Room], None]) -> MqttSession:
    """A session that passes every change of the settings to ``hear``; the caller opens it. Garbage is dropped."""

    def listen(_topic: str, payload: bytes) -> None:
        try:
            room = decode(payload)
        except msgspec.MsgspecError:
            return
        hear(room)

    return MqttSession(network, "room", topics=[TOPIC], deliver=listen)


def decode(payload: bytes) -> Room:
    """Settings from their payload; raises ``msgspec.MsgspecError`` for garbage."""
    return read(_decoder, payload) if payload else Room()


def encode_playing(playing: Playing) -> bytes:
    """The payload, retained on ``pyraft/<cluster>/players/<client>/<node>``."""
    return msgspec.msgpack.encode(playing)


def decode_playing(payload: bytes) -> Playing:
    """A ``Playing`` from its payload; raises ``msgspec.MsgspecError`` for garbage."""
    return read(_playing, payload)


_playing = msgspec.msgpack.Decoder(Playing)
_decoder = msgspec.msgpack.Decoder(Room)


def slowed(now: Config, usual: Config, pace: float) -> Config:
    """The settings ``now``, with the times of ``usual`` multiplied by ``pace``.

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
