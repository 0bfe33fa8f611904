"""A run as one line of text: its settings, its external actions, and a proof that a rebuilt run is the same.

This module is the format; :mod:`pyraft_lab.sim.rebuild` builds the run again.

::

    pyraft2 . 431 . 9f3c01ab . eJyrVkrOSMxLT1WyUkrOL0hV0lFKy0xR…
    format    length  checksum  the packed contents

The proof is a digest of the trace, and one bit of the digest after every event (after every ``stride`` events in a
long run). After the first difference every second bit is wrong on average, so the first wrong bit follows closely.
"""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

import pyraft_lab
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import CapsuleError, ConfigError
from pyraft_lab.machine import KeyValue
from pyraft_lab.sim.conditions import Micros, Weather
from pyraft_lab.sim.timeline import ExternalAction
from pyraft_lab.trace.files import Fingerprints
from pyraft_lab.trace.record import EventId, Record

if TYPE_CHECKING:
    from pyraft_lab.sim.simulation import Simulation

FORMAT = "pyraft2"
PROOF_BITS = 768
"""The maximum number of proof bits."""
LARGEST = 8 << 20
"""The maximum size of a capsule's contents in bytes."""
NAMED_RULES = {"RAFT": RAFT, "ADVANCED": ADVANCED}
TableDescription = str | dict[str, str]
"""A table of rules: a known name, or the functions that its author put into the default table."""


class Proof(Struct, frozen=True, array_like=True):
    """The digest of a trace, and one bit of the running digest after every ``stride`` events."""

    events: int
    stride: int
    bits: bytes
    digest: bytes


class Capsule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The contents of the text; default values are left out.

    ``rules`` is a known table or names the author's functions, and ``turns`` lists after how many events a fork
    continued under other rules, and which.
    """

    version: str
    seed: int
    voters: tuple[NodeId, ...]
    learners: tuple[NodeId, ...] = ()
    initialize: bool = True
    rules: TableDescription = "RAFT"
    turns: tuple[tuple[EventId, TableDescription], ...] = ()
    machine: str = ""
    config: dict[str, Any] = {}
    weather: dict[str, Any] = {}
    actions: tuple[ExternalAction, ...] = ()
    now: Micros = 0
    proof: Proof


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Capsule).decode
_WORDS = (
    b"retry_limit snapshot_logs_since_last keep_logs leader_restore latency duplicate reorder loss disk pre_vote seed"
    b"Tell event Elect BuildSnapshot SetWeather weather Join Pause Resume Drift rate Skew Spoil health slow full lying"
    b"Cut src dst Heal links Partition groups Drop Delay Duplicate Sync Build Miss Attempt Start Crash node torn "
    b"timer lease retry heartbeat election Expire Deliver message HandOver Reconfigure change ReplaceVoters AddLearners"
    b"learners retain guard leader last membership Query query policy index Invoke call client wish Write command "
    b"type op cas old new incr put key value to config machine rules version voters deeds now proof"
)
"""The compression dictionary: text that most capsules contain. It is part of the format and never changes."""


def write_capsule(sim: "Simulation") -> str:
    """The text of a run; raises ``CapsuleError`` if the run was not recorded from its beginning."""
    records, origin, setting = sim.trace.records, sim.origin, sim.world.setting
    if len(records) != sim.world.events:
        raise CapsuleError(f"only {len(records)} of {sim.world.events} events were recorded; use record=True")
    members = next((node.state.membership for node in origin.nodes.values() if node.state.membership.voters), None)
    capsule = Capsule(
        version=pyraft_lab.__version__,
        seed=sim.seed,
        voters=tuple(sorted(members.voters if members else origin.nodes)),
        learners=tuple(sorted(members.learners)) if members else (),
        initialize=members is not None,
        rules=_name_rules(origin.setting.engine.rules),
        turns=tuple((events, _name_rules(rules)) for events, rules in sim.turns),
        machine="" if setting.machine is KeyValue else _name(setting.machine),
        config=_non_default_fields(setting.config, Config()),
        weather=_non_default_fields(origin.weather, Weather()),
        actions=sim.external_actions,
        now=sim.world.now,
        proof=prove(records, max(1, -(-len(records) // PROOF_BITS))),
    )
    return wrap(capsule)


# Proof


def prove(records: tuple[Record, ...], stride: int) -> Proof:
    """The digest of a trace, with a bit of it after every ``stride`` records."""
    writer, digest = Fingerprints(), blake2b(digest_size=8)
    bits = bytearray(-(-len(records) // stride // 8) + 1)
    for count, record in enumerate(records, start=1):
        digest.update(writer.line(record))
        if count % stride == 0:
            place = count // stride - 1
            bits[place // 8] |= (digest.copy().digest()[0] & 1) << place % 8
    return Proof(len(records), stride, bytes(bits), digest.digest())


# Text


def wrap(capsule: Capsule) -> str:
    """A capsule as text."""
    packer = zlib.compressobj(9, zdict=_WORDS)
    body = urlsafe_b64encode(packer.compress(_pack(capsule)) + packer.flush()).decode().rstrip("=")
    return f"{FORMAT}.{len(body)}.{zlib.crc32(body.encode()):08x}.{body}"


def unwrap(text: str) -> Capsule:
    """The capsule in a text, before it is rebuilt; ``CapsuleError`` says what is wrong with the text.

    The text may also be a link with the capsule as its parameter ``capsule``.
    """
    if not isinstance(text, str):
        raise ConfigError("text", text, "must be a string: what Simulation.capsule() returns, or a link to it")
    body = _check(_of_link(text.strip()))
    try:
        packer = zlib.decompressobj(zdict=_WORDS)
        data = packer.decompress(urlsafe_b64decode(body + "=" * (-len(body) % 4)), LARGEST)
        if packer.unconsumed_tail:
            raise CapsuleError(f"it holds more than {LARGEST} bytes")
        return _unpack(data)
    except (msgspec.MsgspecError, ValueError, zlib.error) as error:
        raise (
            error if isinstance(error, CapsuleError) else CapsuleError(f"its content makes no sense: {error}")
        ) from error


def _of_link(text: str) -> str:
    """The capsule in a link; any other text as it is."""
    if "://" not in text:
        return text
    parts = urlsplit(text)
    found = (parse_qs(part).get("capsule") for part in (parts.query, parts.fragment))
    told = next((values[0] for values in found if values), None)
    if told is None:
        raise CapsuleError(f"the link {text[:40]}… has no parameter `capsule`")
    return told


def _check(text: str) -> str:
    """The body of a text; raises ``CapsuleError`` if it is cut or damaged."""
    format, *rest = text.split(".")
    if not format.startswith("pyraft"):
        raise CapsuleError(f"it does not begin with {FORMAT}, but with {text[:12]!r}")
    if format != FORMAT:
        raise CapsuleError(f"it is of format {format[:20]}, and this version of the library reads {FORMAT}")
    if len(rest) != 3 or not rest[0].isdecimal():
        raise CapsuleError("it is cut off within its first characters")
    length, checksum, body = int(rest[0]), rest[1], rest[2]
    if len(body) < length:
        raise CapsuleError(f"it is cut: {len(body)} of its {length} characters are here")
    if len(body) > length:
        raise CapsuleError(f"it has {len(body) - length} characters too many at its end")
    if f"{zlib.crc32(body.encode()):08x}" != checksum:
        raise CapsuleError("it is damaged: its checksum does not fit")
    return body


# Names


def _non_default_fields(value: Config | Weather, usual: Config | Weather) -> dict[str, Any]:
    """The fields in which a value differs from the default."""
    usually = asdict(usual)
    return {name: told for name, told in asdict(value).items() if told != usually[name]}


def _name(thing: object) -> str:
    return f"{getattr(thing, '__module__', '?')}:{getattr(thing, '__qualname__', repr(thing))}"


def _name_rules(rules: Rules) -> TableDescription:
    for name, table in NAMED_RULES.items():
        if rules == table:
            return name
    told, usual = asdict(rules), asdict(RAFT)
    return {name: _name(rule) for name, rule in told.items() if rule is not usual[name]}
