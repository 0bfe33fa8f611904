"""The pace of a room: how much slower than usual its clocks run."""

import asyncio

from pyraft_lab.classroom.teacher_commands import TeacherCommands
from pyraft_lab.engine.types import Term
from pyraft_lab.runtime.process import SLOW_NETWORK
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.terminal.watch import PAUSE

PACE = 5.0
"""How much slower the clocks of a room with tabs are at least: a busy tab delays its heartbeats."""
SLOWEST = 60.0
"""The slowest pace that a room takes by itself."""
UNREST = 3
"""Changes of the term within ``CALM`` election timeouts after which a room slows down."""
CALM = 10.0


class PaceKeeper:
    """How much slower than usual a room runs: with tabs by its members, and more after leaders were lost repeatedly.

    One machine may carry a whole class, and a leader in a tab sends to every member in each round.
    """

    def __init__(self, *, has_tabs: bool) -> None:
        self._has_tabs = has_tabs
        self._extra = 1.0
        self._term: Term = 0
        self._changes: list[float] = []

    def pace(self, *, members: int, term: Term, now: float) -> float:
        """The pace for a room of ``members``, whose highest term is ``term`` at the time ``now`` in seconds."""
        usual = max(PACE, float(members)) if self._has_tabs else 1.0
        longest = SLOW_NETWORK.election_timeout[1] * usual * self._extra
        changed = [now] if term > self._term > 0 else []
        self._term = max(term, self._term)
        self._changes = [*(one for one in self._changes if now - one < CALM * longest), *changed]
        if len(self._changes) >= UNREST:
            self._changes, self._extra = [], self._extra * 1.5
        return min(usual * self._extra, SLOWEST)


async def keep_pace(remote: Remote, commands: TeacherCommands, *, has_tabs: bool) -> None:
    """Adapt the room's pace until the teacher sets one, or until cancelled."""
    keeper, loop = PaceKeeper(has_tabs=has_tabs), asyncio.get_running_loop()
    while commands.adapts_pace:
        members = {node for now in remote.metrics.values() for node in now.membership.nodes}
        term = max((now.term for now in remote.metrics.values()), default=0)
        commands.adapt_pace(keeper.pace(members=len(members), term=term, now=loop.time()))
        await asyncio.sleep(PAUSE)
