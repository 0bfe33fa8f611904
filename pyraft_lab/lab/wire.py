"""What Python and the Lab's drawing say to each other: one source of types for both sides.

::

    drawing ── Asked: Hello | Want | Ahead | Seen | Act | Bye ──▶ session
    drawing ◀── Update: HeaderNews | ChunkNews | TimelineNews | GateNews | Go | Failure ── session

``python -m pyraft_lab.lab.typescript`` writes these types for the drawing (``js/src/wire.d.ts``). On the wire they are
plain JSON: see :func:`plain`. Times are virtual seconds, servers and log indexes are numbers from 1.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, MsgspecError, Struct, UnsetType, convert, to_builtins

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.trace.record import EventId, MessageId

Json = dict[str, Any]
ServerChanges = Annotated[Json, Meta(extra={"typescript": "Partial<ServerDrawing>"})]
AnOrder = Annotated[Any, Meta(extra={"typescript": "LiveOrder"})]


def plain(value: Any) -> Any:
    """The value as plain JSON objects, lists, strings and numbers."""
    return to_builtins(value)


# A moment: servers, messages, decisions


class TermRun(Struct, frozen=True, array_like=True):
    """Entries of one leader that follow each other, from ``index`` on."""

    index: int
    term: int
    leader: NodeId


class LogDrawing(Struct, frozen=True):
    """A log: its entries are ``start + 1`` to ``last``; a chunk's ``book`` says what is in each."""

    start: int
    last: int
    runs: tuple[TermRun, ...]


class Voters(Struct, frozen=True):
    """A membership: one voter set, or two while it is joint, and the learners."""

    sets: tuple[tuple[NodeId, ...], ...]
    learners: tuple[NodeId, ...]


class MembershipDrawing(Voters, frozen=True):
    """The membership a server goes by; entry ``at`` began it."""

    at: int


class SnapshotDrawing(Struct, frozen=True, array_like=True):
    """A snapshot on disk: its last entry, and its size in bytes."""

    index: int
    term: int
    size: int


class IncomingSnapshot(Struct, frozen=True, array_like=True):
    """A snapshot that arrives: bytes here, bytes in all, and its last entry."""

    offset: int
    size: int
    last: int


class ClockDrawing(Struct, frozen=True, array_like=True):
    """A timer: when it was set, and when it fires (``None`` if only the future knows)."""

    began: float
    ends: float | None


class PeerProgress(Struct, frozen=True, kw_only=True):
    """What a leader knows of one peer."""

    peer: NodeId
    matched: int
    next: int
    pace: Literal["probe", "pipeline", "snapshot", "halted"]
    inflight: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    size: int | UnsetType = UNSET
    upto: int | UnsetType = UNSET


RoleName = Literal["follower", "precandidate", "candidate", "leader", "learner", "down"]


class ServerDrawing(Struct, frozen=True, kw_only=True):
    """One server: Figure 2 in words and numbers, and what only some roles have (else ``None``)."""

    up: bool
    silent: bool
    paused: bool
    rate: float
    term: int
    vote: NodeId
    log: LogDrawing
    snapshot: SnapshotDrawing | None
    stored: int
    role: RoleName
    leader: NodeId | None
    commit: int
    applied: int
    incoming: IncomingSnapshot | None
    building: bool
    halted: str | None
    clock: ClockDrawing | None
    longest: float
    chunk: int
    members: MembershipDrawing
    digest: str
    holds: str
    granted: tuple[NodeId, ...] | None
    refused: tuple[NodeId, ...] | None
    peers: tuple[PeerProgress, ...] | None
    round: int | None
    lease: bool | None
    handover: NodeId | None


class MessageDrawing(Struct, frozen=True, kw_only=True):
    """One message that left; ``sign`` is + or − on an answer, ``lost`` says why it will never arrive."""

    id: MessageId
    src: NodeId
    dst: NodeId
    sent: float
    due: float | None
    kind: str
    name: str
    glyph: str
    answer: bool
    sign: Literal["+", "−", ""]
    entries: int
    says: tuple[tuple[str, str], ...]
    cause: EventId
    copy: MessageId | None
    to: MessageId | None
    lost: str | None


class Tally(Struct, frozen=True):
    """One voter set: who is in it, who agrees, who refuses, how many are needed."""

    name: str
    of: tuple[NodeId, ...]
    yes: tuple[NodeId, ...]
    no: tuple[NodeId, ...]
    need: int


class Decision(Struct, frozen=True, kw_only=True):
    """What one server is deciding, and how far it is; ``index`` is the entry that is to be committed.

    ``plain`` is ``line`` in the words of the first chapter; ``writes`` whether a client's command is to be committed.
    """

    what: Literal["prevote", "vote", "commit", "leads"]
    by: NodeId
    term: int
    title: str
    line: str
    plain: str
    sets: tuple[Tally, ...]
    writes: bool = False
    index: int | UnsetType = UNSET


class Scene(Struct, frozen=True):
    """Everything at one moment; ``cuts`` are links that let nothing through, one way each."""

    time: float
    nodes: dict[str, ServerDrawing]
    flying: tuple[MessageDrawing, ...]
    cuts: tuple[tuple[NodeId, NodeId], ...]
    decisions: tuple[Decision, ...]


# A recording, chunk by chunk


class RuleSource(Struct, frozen=True):
    """A rule, and the lines of the function that decides by it; ``first`` is the number of the first line."""

    label: str
    section: str
    meaning: str
    where: str
    first: int
    lines: tuple[str, ...]


class Gone(Struct, frozen=True, array_like=True):
    """A message that is no longer under way and did not arrive."""

    id: MessageId
    why: str


class SceneEvent(Struct, frozen=True, kw_only=True):
    """One event and what it changed; ``ran`` are the lines of its rule that ran, ``nodes`` the new values of fields."""

    id: EventId
    time: float
    kind: str
    node: NodeId
    peer: NodeId | None
    cause: EventId | None
    message: MessageId | None
    text: str
    routine: bool
    sent: tuple[MessageDrawing, ...]
    gone: tuple[Gone, ...] = ()
    rule: str | UnsetType = UNSET
    ran: tuple[int, ...] | UnsetType = UNSET
    nodes: dict[str, ServerChanges] | UnsetType = UNSET
    cuts: tuple[tuple[NodeId, NodeId], ...] | UnsetType = UNSET
    decisions: tuple[Decision, ...] | UnsetType = UNSET


class BookEntry(Struct, frozen=True, array_like=True):
    """What one log entry says; its name in the book is ``index.term.leader``."""

    label: str
    kind: Literal["noop", "write", "members"]
    membership: Voters | None


class Chunk(Struct, frozen=True):
    """Consecutive events of a recording: the scene before them whole, then only what each changed."""

    number: int
    key: Scene
    events: tuple[SceneEvent, ...]
    book: dict[str, BookEntry]
    rules: dict[str, RuleSource]


# A timeline


class Band(Struct, frozen=True, array_like=True):
    """Who led from an event on (0: nobody), up to the next band."""

    event: EventId
    time: float
    term: int
    leader: NodeId


class Mark(Struct, frozen=True, array_like=True):
    """An event that stands out on the timeline."""

    event: EventId
    time: float
    kind: str
    node: NodeId
    words: str


class ElectedBy(Struct, frozen=True):
    """Who voted for a leader, and the voter sets that counted."""

    yes: tuple[NodeId, ...]
    sets: tuple[tuple[NodeId, ...], ...]


class Timeline(Struct, frozen=True, kw_only=True, rename={"start": "from"}):
    """One branch of time, from event ``from`` on.

    ``version`` rises whenever known events changed; the first ``kept`` stayed. ``seen`` is the last event that has
    happened, ``limit`` how many there can be, ``gone`` how many of the oldest were dropped. ``terms`` is by
    ``term.leader``.
    """

    name: str
    parent: str | None
    at: EventId
    why: str
    version: int
    kept: int
    seen: EventId
    limit: int
    start: EventId = 0
    times: tuple[float, ...]
    end: float
    count: int
    bands: tuple[Band, ...]
    marks: tuple[Mark, ...]
    terms: dict[str, ElectedBy]
    gone: int = 0


# The header


class Colours(Struct, frozen=True):
    """The colours of terms; on the ``dark`` ones white text is legible."""

    palette: tuple[str, ...]
    none: str
    dark: tuple[str, ...]


class Place(Struct, frozen=True):
    """What is shown: a branch, and the moment after one of its events."""

    branch: str
    event: EventId
    time: float


class GateNews(Struct, frozen=True, tag="gate"):
    """Whether messages are held, and which; whether timers are frozen."""

    closed: bool
    frozen: bool
    held: tuple[MessageId, ...]


ViewName = Literal["ring", "full"]


class Opening(Struct, frozen=True, kw_only=True):
    """How a Lab begins: its view, the event up to which it plays by itself, and the question that it then asks."""

    view: ViewName = "full"
    until: EventId | None = None
    question: str = ""


class Header(Struct, frozen=True, kw_only=True):
    """What is drawn once: title, colours, where to begin, and all timelines.

    ``flight`` is how long a message usually takes, ``grows`` whether there may be more future, ``can`` the orders that
    are possible, ``over`` why a live cluster takes none any more.
    """

    title: str
    seed: int | None
    flight: float
    grows: bool
    can: tuple[str, ...]
    colours: Colours
    place: Place
    timelines: tuple[Timeline, ...]
    opening: Opening = Opening()
    live: bool = False
    gate: GateNews | None = None
    over: str | None = None


class OfflinePage(Struct, frozen=True):
    """All that an offline page plays: the header, and each branch's chunks by the branch's name."""

    header: Header
    chunks: tuple[tuple[str, Chunk], ...]


# What Python says


class HeaderNews(Struct, frozen=True, tag="header"):
    """Everything that is drawn once, again."""

    header: Header


class ChunkNews(Struct, frozen=True, tag="chunk"):
    """A chunk of a branch's recording."""

    branch: str
    chunk: Chunk


class TimelineNews(Struct, frozen=True, tag="timeline"):
    """What is new of a branch: replace its timeline from event ``from`` on."""

    timeline: Timeline


class Go(Struct, frozen=True, tag="go"):
    """An order was carried out: show the moment after this event."""

    branch: str
    event: EventId


class Failure(Struct, frozen=True, tag="error"):
    """Something could not be done; the text says what and why."""

    text: str


Update = HeaderNews | ChunkNews | TimelineNews | GateNews | Go | Failure


# What the drawing says


class Hello(Struct, frozen=True, tag_field="do", tag="hello"):
    """A drawing begins, or has missed something: it needs the header."""


class Want(Struct, frozen=True, tag_field="do", tag="want"):
    """It needs a chunk."""

    branch: str
    chunk: int


class Ahead(Struct, frozen=True, tag_field="do", tag="ahead"):
    """It will soon need this many events of the future."""

    branch: str
    events: int


class Seen(Struct, frozen=True, tag_field="do", tag="seen"):
    """It shows this moment."""

    branch: str
    event: EventId
    time: float


class Act(Struct, frozen=True, tag_field="do", tag="act"):
    """Its user gave an order at this moment."""

    branch: str
    event: EventId
    time: float
    order: AnOrder


class Bye(Struct, frozen=True, tag_field="do", tag="bye"):
    """It was closed."""


Asked = Hello | Want | Ahead | Seen | Act | Bye


def asked(message: Any) -> Asked:
    """Read a message of the drawing; raises ``PyraftError`` if it is malformed."""
    try:
        found: Asked = convert(message, Asked)
    except MsgspecError as error:
        raise PyraftError(f"the drawing said {message}: {error}") from error
    return found
