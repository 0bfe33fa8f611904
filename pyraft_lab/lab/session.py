"""The Python side of the drawing, without a widget: it sends chunks, runs a simulation, carries out orders."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from pyraft_lab.errors import PyraftError
from pyraft_lab.lab.actions import VERBS, parse_action
from pyraft_lab.lab.branches import MAX_AHEAD, Branch, Branches
from pyraft_lab.lab.cluster_view import ClusterView
from pyraft_lab.lab.plain import plain_chunk, plain_sentence
from pyraft_lab.lab.recording import CHUNK, Numbered, Recorded, Recording
from pyraft_lab.lab.static_svg import alt, ring_still, still
from pyraft_lab.lab.tape import Tape
from pyraft_lab.lab.wire import (
    Act,
    Ahead,
    Bye,
    Chunk,
    ChunkNews,
    Colours,
    Go,
    Header,
    HeaderNews,
    Hello,
    Mark,
    Opening,
    Place,
    Seen,
    Timeline,
    TimelineNews,
    Update,
    Want,
    asked,
)
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.term_colours import NO_TERM, PALETTE, term_colour
from pyraft_lab.trace.record import EventId, Record
from pyraft_lab.trace.story import story
from pyraft_lab.trace.trace import Trace
from pyraft_lab.viz.theme import numeral_colour

LOOKAHEAD = 3 * CHUNK
"""The number of events that are foreseen when a Lab opens."""


class Session(ABC):
    """Answers the drawing's messages; ``place`` is the branch, event and time it shows."""

    def __init__(self, branch: str, event: EventId, time: float) -> None:
        self.place = (branch, event, time)
        self.opening = Opening()
        self._sent: dict[str, tuple[int, int]] = {}

    @abstractmethod
    def header(self) -> Header:
        """The header: title, colours, the first moment, the timeline of every branch."""

    @abstractmethod
    def recording(self, branch: str) -> Recording:
        """The recording of a branch."""

    @abstractmethod
    def answer(self, message: Any) -> Iterable[Update]:
        """The messages to send back."""

    def chunks(self) -> list[tuple[str, Chunk]]:
        """The chunks of the place and of the next events, each with its branch."""
        branch, event, _ = self.place
        recording = self.recording(branch)
        wanted = range(max(event, 0) // CHUNK, (event + CHUNK // 2) // CHUNK + 1)
        return [(branch, self.chunk(branch, number)) for number in wanted if number * CHUNK < max(len(recording), 1)]

    def chunk(self, branch: str, number: int) -> Chunk:
        """One chunk of a branch, as the view tells it."""
        chunk = self.recording(branch).chunk(number)
        return plain_chunk(chunk) if self.opening.view == "ring" else chunk

    def updates(self, branch: str) -> TimelineNews:
        """The part of a branch that the drawing does not have yet."""
        whole = self.timeline(branch)
        version, count = self._sent.get(branch, (-1, 0))
        start = count if version == whole.version else min(count, whole.kept)
        self._sent[branch] = (whole.version, whole.count)
        bands = tuple(band for band in whole.bands if band.event >= start)
        marks = tuple(mark for mark in whole.marks if mark.event >= start)
        return TimelineNews(replace(whole, start=start, times=whole.times[start:], bands=bands, marks=marks))

    @abstractmethod
    def timeline(self, branch: str) -> Timeline:
        """A whole branch."""

    @property
    def view(self) -> ClusterView:
        """The view that is shown."""
        branch, event, time = self.place
        moment = self.recording(branch).view(event)
        return replace(moment, time=max(moment.time, time))

    def picture(self) -> tuple[str, str]:
        """The view as a static SVG picture, and as text: that of the question, if the Lab plays up to one."""
        branch, event, _ = self.place
        recording, view = self.recording(branch), self.view
        if self.opening.until is not None and event < self.opening.until:
            event = self.opening.until
            view = recording.view(event)
        told = str(recording.trace.record(event)) if event >= 0 else "nothing has happened yet"
        if self.opening.view == "ring":
            said = plain_sentence(told.partition(" ")[2])
            return ring_still(view, said, self.opening.question), alt(view, said)
        return still(view, self.tape(branch), event, told), alt(view, told)

    @abstractmethod
    def tape(self, branch: str) -> Tape:
        """The tape of a branch."""

    def story(self, most: int = 40) -> str:
        """The story up to the place: its last ``most`` lines."""
        branch, event, _ = self.place
        trace = self.recording(branch).trace
        told = story([record for record in trace.records if record.id <= event])
        return "\n".join(told.splitlines()[-most:])


def colours() -> Colours:
    """The colours of terms, for the drawing."""
    dark = [term_colour(term) for term in range(1, len(PALETTE) + 1) if numeral_colour(term) == "#FFFFFF"]
    return Colours(palette=tuple(PALETTE), none=NO_TERM, dark=tuple(dark))


def timeline_of(tape: Tape, records: Iterable[Record], **more: Any) -> Timeline:
    """Times, bands and marks of a run; ``more`` are the fields that only the branch knows."""
    times = tuple(round(record.time, 6) for record in records)
    return Timeline(
        times=times,
        end=times[-1] if times else 0.0,
        count=len(times),
        bands=tuple(tape.bands),
        marks=tuple(tape.marks),
        terms=tape.terms,
        **more,
    )


class SimulationSession(Session):
    """A simulation that the drawing controls, with all its branches."""

    def __init__(self, sim: Simulation) -> None:
        self.branches = Branches(sim)
        main = self.branches["main"]
        main.look_ahead(main.count + LOOKAHEAD)
        super().__init__("main", main.last_event, sim.now)

    @property
    def sim(self) -> Simulation:
        """The simulation of the branch that is shown."""
        return self.branches[self.place[0]].sim

    def recording(self, branch: str) -> Recording:
        """The recording of a branch, including foreseen events."""
        return self.branches[branch].recording

    def tape(self, branch: str) -> Tape:
        """The tape of a branch, without foreseen events."""
        return self.branches[branch].tape

    def header(self) -> Header:
        """What is drawn once: title, colours, where to begin, and all timelines."""
        sim = self.branches["main"].sim
        branch, event, time = self.place
        latency = sim.weather.latency
        timelines = tuple(self.timeline(name) for name in self.branches.all)
        self._sent = {one.name: (one.version, one.count) for one in timelines}
        return Header(
            title=f"simulation of {len(sim.nodes)} servers, seed {sim.seed}",
            seed=sim.seed,
            flight=max(sum(latency) / len(latency), 1e-4),
            grows=True,
            can=VERBS,
            colours=colours(),
            place=Place(branch, event, time),
            timelines=timelines,
            opening=self.opening,
        )

    def timeline(self, branch: str) -> Timeline:
        """One branch with its seen and its foreseen events."""
        one = self.branches[branch]
        whole = timeline_of(
            one.timeline,
            one.recording.trace.records,
            name=one.name,
            parent=one.parent,
            at=one.at,
            why=one.why,
            version=one.version,
            kept=one.kept,
            seen=one.last_event,
            limit=one.sim.world.events + MAX_AHEAD,
        )
        marks = sorted([*whole.marks, *map(broken, one.violations)], key=attrgetter("event"))
        return replace(whole, marks=tuple(marks))

    def answer(self, message: Any) -> Iterator[Update]:
        """The messages to send back to the drawing."""
        match asked(message):
            case Hello():
                yield HeaderNews(self.header())
            case Want(branch, number):
                yield ChunkNews(branch, self.chunk(branch, number))
            case Ahead(branch, events):
                self.branches[branch].look_ahead(events)
                yield self.updates(branch)
            case Seen(branch, event, time):
                self.branches[branch].follow(event)
                self.place = (branch, event, time)
            case Act() as act:
                yield from self._act(act)
            case Bye():
                pass

    def _act(self, act: Act) -> Iterator[Update]:
        branch = self.branches.act(act.branch, act.event, act.time, parse_action(act.order))
        yield from self.moved(branch)

    def moved(self, branch: Branch) -> Iterator[Update]:
        """After an action: show the present of its branch; the drawing asks for foreseen events later."""
        self.place = (branch.name, branch.last_event, branch.sim.now)
        yield self.updates(branch.name)
        for name, chunk in self.chunks():
            yield ChunkNews(name, chunk)
        yield Go(branch.name, branch.last_event)


def broken(violation: Violation) -> Mark:
    """The mark of an invariant that is violated."""
    return Mark(violation.event, violation.time, "violation", 0, f"{violation.name} is violated: {violation.what}")


class RecordedSession(Session):
    """Records to view; opens at the last one."""

    def __init__(self, trace: Trace) -> None:
        self._numbered = Numbered()
        self._recording = Recorded(Trace(self._numbered.add(trace.records)))
        records = self._recording.trace.records
        self._tape = Tape(records)
        super().__init__("main", len(records) - 1, records[-1].time if records else 0.0)

    def recording(self, branch: str) -> Recording:  # noqa: ARG002 (there is only one)
        """The recording of the trace."""
        return self._recording

    def tape(self, branch: str) -> Tape:  # noqa: ARG002 (there is only one)
        """The tape of the whole run."""
        return self._tape

    def header(self) -> Header:
        """What is drawn once: title, colours, where to begin, and all timelines."""
        branch, event, time = self.place
        return Header(
            title="recorded run",
            seed=None,
            flight=typical_flight(self._recording.trace),
            grows=False,
            can=(),
            colours=colours(),
            place=Place(branch, event, time),
            timelines=(self.timeline("main"),),
            opening=self.opening,
        )

    def timeline(self, branch: str) -> Timeline:
        """The whole run."""
        count = len(self._recording)
        return timeline_of(
            self._tape,
            self._recording.trace.records,
            name=branch,
            parent=None,
            at=-1,
            why="",
            version=0,
            kept=count,
            seen=count - 1,
            limit=count,
        )

    def answer(self, message: Any) -> Iterator[Update]:
        """Chunks, and the results of orders."""
        match asked(message):
            case Hello():
                yield HeaderNews(self.header())
            case Want(branch, number):
                yield ChunkNews(branch, self.chunk(branch, number))
            case Seen(branch, event, time):
                self.place = (branch, event, time)
            case Act() as act:
                yield from self.carry_out_action(act)
            case Ahead() | Bye():
                pass

    @abstractmethod
    def carry_out_action(self, act: Act) -> Iterator[Update]:
        """Carry out an order; return the messages to send back."""


class TraceSession(RecordedSession):
    """A recorded run, to view but not to change."""

    def __init__(self, trace: Trace) -> None:
        if not len(trace):
            raise PyraftError("this trace has no records: there is nothing to show")
        super().__init__(trace)

    def carry_out_action(self, act: Act) -> Iterator[Update]:  # noqa: ARG002 (whatever it is)
        """Refuse every order: a recorded run cannot be changed."""
        raise PyraftError("this run is recorded: you can view it, but not change it")


def typical_flight(trace: Trace) -> float:
    """The usual delay of a message, in seconds."""
    sent = {flight.id: flight.sent for record in trace.records for flight in record.sent}
    times = sorted(record.time - sent[record.message] for record in trace.records if record.message in sent)
    return max(times[len(times) // 2], 1e-5) if times else 0.01
