"""Branches of time: whoever acts in the past gets another future, and the old one stays.

::

    main    ──●──────●───────●──▶ seen ┄┄┄┄┄ foreseen by a scout, so that playing never waits
                     └ what-if-1: n1 crashed ──●──▶
"""

from collections.abc import Sequence
from typing import Any

from pyraft_lab.errors import PyraftError
from pyraft_lab.lab.actions import UserAction
from pyraft_lab.lab.recording import Recording, Simulated
from pyraft_lab.lab.tape import Tape
from pyraft_lab.sim.conditions import SECOND
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.record import EventId

MAX_AHEAD = 2048
"""Events a scout goes ahead at most."""


class Branch:
    """One line of time: a simulation, how far it was looked at, and a scout that runs ahead of it.

    The simulation itself stands where somebody has looked; what lies beyond is a fork that may be thrown away.
    """

    def __init__(
        self, sim: Simulation, name: str, *, parent: str | None = None, at: EventId = -1, why: str = ""
    ) -> None:
        self.sim, self.name, self.parent, self.at, self.why = sim, name, parent, at, why
        self.tape = Tape(sim.trace.records)
        self._scout: Simulation | None = None
        self._foreseen: Tape | None = None
        self._is_following = False
        self.version = 0
        """Rises whenever what was foreseen did not come about."""
        self.kept: EventId = 0
        """How many events were left as they were then."""
        sim.watch(self._add_record)

    @property
    def last_event(self) -> EventId:
        """The last event that has happened."""
        return self.sim.world.events - 1

    @property
    def count(self) -> int:
        """How many events are known, foreseen ones included."""
        return (self._scout or self.sim).world.events

    @property
    def recording(self) -> Recording:
        """Everything that is known."""
        return Simulated(self._scout or self.sim)

    @property
    def timeline(self) -> Tape:
        """The tape of everything that is known."""
        return self._foreseen or self.tape

    @property
    def violations(self) -> Sequence[Violation]:
        """Promises that were broken, or will be."""
        return (self._scout or self.sim).violations

    def look_ahead(self, events: int) -> None:
        """Know at least so many events, if there is that much future."""
        events = min(events, self.sim.world.events + MAX_AHEAD)
        if self.count >= events:
            return
        scout = self._scout = self._scout or self.sim.fork()
        timeline = self._foreseen = self._foreseen or self.tape.copy()
        while scout.world.events < events:
            try:
                timeline.add_record(scout.step())
            except PyraftError:
                return  # nothing is pending: everybody is down or paused

    def follow(self, event: EventId) -> None:
        """Somebody has looked as far as ``event``: let it really happen."""
        self._is_following = True
        try:
            while self.last_event < min(event, self.count - 1):
                self.sim.step()
        finally:
            self._is_following = False

    def forget_future(self, happened: EventId) -> None:
        """What was foreseen beyond the first ``happened`` events need not come about."""
        if self._scout is not None:
            self._scout = self._foreseen = None
            self.version, self.kept = self.version + 1, happened

    def wait(self, time: float) -> None:
        """Let virtual time pass up to ``time``, in which nothing may happen."""
        now = self.sim.world.now
        if (view := round(time * SECOND)) > now and self._is_quiet(view):
            self.sim.run((view - now) / SECOND)

    def do(self, action: UserAction) -> None:
        """Carry out an order here and now."""
        self.forget_future(self.sim.world.events)
        action.carry_out(self.sim)

    def fork(self, name: str, at: EventId, action: UserAction) -> "Branch":
        """Another branch, from right after event ``at`` on, for an order that is given there."""
        sim = self.sim.fork(at=at)
        return Branch(sim, name, parent=self.name, at=at, why=action.summary_in(sim))

    def _is_quiet(self, view: int) -> bool:
        pending = self.sim.world.event_queue
        return not pending or pending[0].time > view

    def _add_record(self, record: Any) -> None:
        self.tape.add_record(record)
        if not self._is_following:
            self.forget_future(record.id)


class Branches:
    """All branches of a run, the first being the simulation that was given."""

    def __init__(self, sim: Simulation) -> None:
        self.all: dict[str, Branch] = {"main": Branch(sim, "main")}

    def __getitem__(self, name: str) -> Branch:
        if name not in self.all:
            raise PyraftError(f"there is no branch {name!r}; known are {', '.join(self.all)}")
        return self.all[name]

    def act(self, name: str, at: EventId, time: float, action: UserAction) -> Branch:
        """Carry out an order right after event ``at`` of a branch, at ``time``; on a new branch where that is past."""
        branch = self[name]
        branch.follow(at)
        if at < branch.last_event:
            branch = branch.fork(f"what-if-{len(self.all)}", at, action)
        branch.wait(time)
        branch.do(action)
        self.all[branch.name] = branch
        return branch
