"""Branches of a run: an action on ``main``, or in the past, starts a new branch, and the old one stays.

::

    main    ──●──────●───────●──▶ seen ┄┄┄┄┄ foreseen by a scout, so that playing never waits
                     │       └ what-if-2: x cut ──●──▶     at the newest moment: the given simulation goes along
                     └ what-if-1: n1 crashed ──●──▶        in the past: a fork

So ``main`` is always the run without interference, and comparing or resetting is possible after every action. Further
actions at the newest moment of a what-if continue it.
"""

from collections.abc import Sequence
from typing import Any

from pyraft_lab.errors import PyraftError, shown
from pyraft_lab.lab.actions import UserAction
from pyraft_lab.lab.recording import Recording, Simulated
from pyraft_lab.lab.tape import Tape
from pyraft_lab.sim.conditions import SECOND
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.record import EventId

MAX_AHEAD = 2048
"""The maximum number of events that a scout is ahead."""


class Branch:
    """One branch: a simulation, the number of seen events, and a scout that runs ahead of it.

    The simulation itself stops at the last event that was shown; later events are in a fork that can be discarded.
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
        """Increases when foreseen events did not happen."""
        self.kept: EventId = 0
        """The number of events that stayed the same then."""
        sim.watch(self._add_record)

    @property
    def last_event(self) -> EventId:
        """The last event that has happened."""
        return self.sim.world.events - 1

    @property
    def count(self) -> int:
        """The number of known events, including foreseen ones."""
        return (self._scout or self.sim).world.events

    @property
    def recording(self) -> Recording:
        """The trace of all known events."""
        return Simulated(self._scout or self.sim)

    @property
    def timeline(self) -> Tape:
        """The tape of all known events."""
        return self._foreseen or self.tape

    @property
    def violations(self) -> Sequence[Violation]:
        """The violations in all known events."""
        return (self._scout or self.sim).violations

    def look_ahead(self, events: int) -> None:
        """Run ahead until at least ``events`` events are known, if there are enough."""
        events = min(events, self.sim.world.events + MAX_AHEAD)
        if self.count >= events:
            return
        scout = self._scout = self._scout or self.sim.fork()
        timeline = self._foreseen = self._foreseen or self.tape.copy()
        while scout.world.events < events:
            try:
                timeline.add_record(scout.step())
            except PyraftError:
                return  # nothing is pending: all servers are down or paused

    def follow(self, event: EventId) -> None:
        """Run the simulation up to ``event``, because it was shown."""
        self._is_following = True
        try:
            while self.last_event < min(event, self.count - 1):
                self.sim.step()
        finally:
            self._is_following = False

    def forget_future(self, happened: EventId) -> None:
        """Forget the foreseen events after the first ``happened`` ones."""
        if self._scout is not None:
            self._scout = self._foreseen = None
            self.version, self.kept = self.version + 1, happened

    def wait(self, time: float) -> None:
        """Run to virtual time ``time``, even if nothing happens until then."""
        now = self.sim.world.now
        if (view := round(time * SECOND)) > now and self._is_quiet(view):
            self.sim.run((view - now) / SECOND)

    def do(self, action: UserAction) -> None:
        """Carry out an action at the present time of this branch."""
        self.forget_future(self.sim.world.events)
        action.carry_out(self.sim)

    def copy(self) -> "Branch":
        """This branch with a fork of its simulation; foreseen events and their version stay the same."""
        kept = Branch(self.sim.fork(), self.name, parent=self.parent, at=self.at, why=self.why)
        kept._scout, kept._foreseen = self._scout, self._foreseen
        kept.version, kept.kept = self.version, self.kept
        return kept

    def becomes(self, name: str, at: EventId, why: str) -> None:
        """From now on this is a branch of its former self, which starts right after event ``at``."""
        self.parent, self.name, self.at, self.why = self.name, name, at, why
        self.version, self.kept = 0, 0

    def fork(self, name: str, at: EventId, action: UserAction) -> "Branch":
        """A new branch that starts right after event ``at``, for an action there."""
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
    """All branches of a run; the first is the given simulation."""

    def __init__(self, sim: Simulation) -> None:
        self.all: dict[str, Branch] = {"main": Branch(sim, "main")}

    def __getitem__(self, name: str) -> Branch:
        if name not in self.all:
            raise PyraftError(f"there is no branch {shown(name)}; known are {', '.join(self.all)}")
        return self.all[name]

    def act(self, name: str, at: EventId, time: float, action: UserAction) -> Branch:
        """Carry out an action after event ``at`` of a branch, at ``time``; on ``main`` or in the past: in a new branch.

        The given simulation goes along with an action at the newest moment of ``main``; a fork stays there.
        """
        branch = self[name]
        branch.follow(at)
        if at < branch.last_event:
            return self._take(branch.fork(self._new_name(), at, action), time, action)
        if branch.parent is not None:
            return self._take(branch, time, action)
        kept, why = branch.copy(), action.summary_in(branch.sim)
        self._take(branch, time, action)
        branch.becomes(self._new_name(), at, why)
        self.all |= {name: kept, branch.name: branch}
        return branch

    def _take(self, branch: Branch, time: float, action: UserAction) -> Branch:
        branch.wait(time)
        branch.do(action)
        self.all[branch.name] = branch
        return branch

    def _new_name(self) -> str:
        return f"what-if-{len(self.all)}"
