"""A seat in a browser tab: a node of a room, played by the machine or by hand, with the Lab of the whole room.

The page (``classroom/page/``) runs this file in Pyodide, in a worker. It calls the methods of :class:`TabSeat`, and
gets messages back as JSON: ``{"type": "seat", …}`` for the seat, ``{"type": "open", …}`` and ``{"type": "lab", …}``
with what the Lab's drawing is ``told``.
"""

import asyncio
import json
from collections import deque
from contextlib import AsyncExitStack, suppress
from typing import Any

from msgspec.structs import replace

from pyraft_lab.classroom.seat import RoomAddress, take_seat
from pyraft_lab.engine.events import Fire, Receive
from pyraft_lab.engine.messages import LeaderMessage
from pyraft_lab.engine.state import Leader, Step
from pyraft_lab.engine.timers import TimerKind
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises.player import Player
from pyraft_lab.exercises.sheet import rows
from pyraft_lab.lab.cluster import FollowedSession
from pyraft_lab.lab.on_a_page import PageLab, Show
from pyraft_lab.lab.ticker import due
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import LONGEST_NAME, Playing
from pyraft_lab.runtime.trace_stream import FollowedTrace
from pyraft_lab.trace.record import Record

PAUSE = 0.25
"""Seconds between two refreshes of the page."""
RETAINED_TIMEOUT = 0.5
"""Seconds for the broker's retained messages to arrive."""
REFRESHES = 8
"""Refreshes by which a tab judges whether it is late."""
SILENT_TIMEOUTS = 2
"""Election timeouts without a leader that a tab which stands back leaves to others."""

LONGEST_START = 30.0
"""Seconds that the broker may take to answer: a page that loads, beside others on a slow machine, is busy for long."""


class TabPlayer(Player):
    """A player in a tab. A tab that is hidden or late leaves it to others to lead, as long as there are any.

    A browser may stop a hidden tab at any moment; a tab whose refreshes are late sends its heartbeats late, too.
    """

    def __init__(self, *, by_hand: bool = False) -> None:
        super().__init__(by_hand=by_hand)
        self._is_hidden = False
        self._late: deque[bool] = deque([False] * REFRESHES, maxlen=REFRESHES)
        self._silent_timeouts = 0
        self._node_handle: Raft | None = None

    async def play(self, raft: Raft) -> None:
        """Play the running node until cancelled."""
        self._node_handle = raft
        await super().play(raft)

    @property
    def stands_back(self) -> bool:
        """Whether another node should lead: the tab is hidden, or half of its last refreshes were late."""
        return self._is_hidden or 2 * sum(self._late) >= REFRESHES

    @property
    def may_stand(self) -> bool:
        """Whether the node may become a candidate at every election timeout."""
        return not self.stands_back and super().may_stand

    @property
    def playing(self) -> Playing:
        """The report for the teacher and for other tabs."""
        return replace(super().playing, stands_back=self.stands_back)

    def hide(self, *, is_hidden: bool) -> None:
        """Handle a tab that is hidden, or shown again."""
        self._is_hidden = is_hidden
        self.room_changed()

    def refreshed(self, late: float) -> None:
        """Note by how many seconds a refresh was late."""
        before, raft = self.stands_back, self._node_handle
        self._late.append(raft is not None and late > raft.config.heartbeat_interval)
        if before != self.stands_back:
            self.room_changed()

    def __call__(self, record: Record) -> None:
        """Observe a record of the node; where nobody leads for long, one that stands back becomes a candidate, too."""
        super().__call__(record)
        match record.step:
            case Step(event=Receive(message=message)) if isinstance(message, LeaderMessage):
                self._silent_timeouts = 0
            case Step(event=Fire(timer)) if timer.kind is TimerKind.ELECTION and self.stands_back and not self.by_hand:
                self._silent_timeouts += 1
                if self._silent_timeouts > SILENT_TIMEOUTS and self._node_handle is not None:
                    self._node_handle.trigger.elect(pre_vote=True)
            case _:
                pass

    async def give_way(self, remote: Remote) -> None:
        """If this node leads and stands back, transfer the leadership to a voter that does not, if there is one."""
        raft = self._node_handle
        if raft is None or not self.stands_back or not isinstance(self.state and self.state.role, Leader):
            return
        here = raft.metrics.membership.voters & remote.metrics.keys() - {raft.id}
        others = [node for node in sorted(here) if not remote.players.get(node, Playing(by_hand=False)).stands_back]
        if others:
            with suppress(PyraftError):  # it leads no more, or another change goes on: the next refresh sees
                await raft.trigger.transfer_leader(others[0])


class TabSeat:
    """One tab's seat in a room; ``show`` receives everything that the page draws, as JSON."""

    def __init__(self, broker: str, room: str, show: Show) -> None:
        self._place = RoomAddress(broker=broker, cluster=room, timeout=LONGEST_START)
        self._show = show
        self._player = TabPlayer()
        self._stop = asyncio.Event()
        self._looks = asyncio.Event()
        self._looks.set()
        self._room: PageLab | None = None
        self._drawn = ""
        self._me: NodeId = 0
        self._name = ""
        self._said = ""

    async def join(self, name: str, by_hand: bool) -> None:  # noqa: FBT001 (called from JavaScript)
        """Take a seat, and keep it until :meth:`leave`; a reloaded tab comes back with a new id."""
        self._name = name.strip()[:LONGEST_NAME]
        self._player.by_hand = bool(by_hand)
        try:
            async with AsyncExitStack() as stack:
                await self._sit(stack)
        except* PyraftError as failed:
            self._tell(over=str(failed.exceptions[0]))
        else:
            self._tell(over="you have left the room")

    async def _sit(self, stack: AsyncExitStack) -> None:
        place = self._place
        remote = await stack.enter_async_context(
            Remote.connect(place.broker, cluster=place.cluster, timeout=place.timeout)
        )
        await asyncio.sleep(RETAINED_TIMEOUT)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [group.create_task(self._refresh(remote)), group.create_task(self._show_room())]
        await take_seat(place, remote, None, self._stop, told=self._seated, player=self._player)
        for task in tasks:
            task.cancel()

    def _seated(self, me: NodeId) -> None:
        self._me = me

    # Called by the page

    async def answer(self, word: str) -> None:
        """Answer the node's question."""
        try:
            mark = await self._player.answer(word)
        except PyraftError as failed:
            self._said = str(failed)
        else:
            self._said = "your node has moved on meanwhile: look again" if mark is None else str(mark)
        self._draw_seat()

    def play(self, by_hand: bool) -> None:  # noqa: FBT001 (called from JavaScript)
        """Play by hand from now on, or leave it to the machine."""
        self._player.by_hand = bool(by_hand)

    def hide(self, is_hidden: bool) -> None:  # noqa: FBT001 (called from JavaScript)
        """Handle a tab that is hidden, or shown again."""
        self._player.hide(is_hidden=bool(is_hidden))

    def look(self, wants: bool) -> None:  # noqa: FBT001 (called from JavaScript)
        """Show the whole room from now on, or stop following it: that costs every message of the room."""
        if wants:
            self._looks.set()
        else:
            self._looks.clear()

    def leave(self) -> None:
        """Leave the room: the membership first, then the broker."""
        self._stop.set()

    def lab(self, message: str) -> None:
        """Answer a message of the Lab's drawing."""
        if self._room is not None:
            self._room.answer(message)

    # What the page draws

    async def _refresh(self, remote: Remote) -> None:
        """Draw the seat again and again; report to the teacher how the node is played."""
        loop, reported = asyncio.get_running_loop(), None
        while True:
            began = loop.time()
            playing = replace(self._player.playing, name=self._name)
            if self._me and playing != reported:
                remote.publish_playing(self._me, reported := playing)
            await self._player.give_way(remote)
            self._draw_seat()
            next_one = due(began, loop.time(), PAUSE)
            await asyncio.sleep(next_one - loop.time())
            self._player.refreshed(loop.time() - next_one)

    async def _show_room(self) -> None:
        """Follow the room while the learner looks at it; a new look begins with the present."""
        while await self._looks.wait():
            with FollowedTrace(self._place.broker, self._place.cluster, timeout=LONGEST_START) as trace:
                await trace.connected()
                await self._draw_room(trace)

    async def _draw_room(self, trace: FollowedTrace) -> None:
        """Draw the room while the learner looks at it."""
        loop, session = asyncio.get_running_loop(), FollowedSession(trace)
        self._room = PageLab(session, self._show)
        while self._looks.is_set():
            began = loop.time()
            self._room.tell(session.grow)
            await asyncio.sleep(due(began, loop.time(), PAUSE) - loop.time())
        self._room = None

    def _draw_seat(self) -> None:
        state, asked = self._player.state, self._player.asked
        self._tell(
            sheet=[] if state is None else [("role", state.role_name), ("term", str(state.term)), *rows(state)],
            question=None if asked is None else asked.question.text,
            facts=() if asked is None else asked.question.facts,
            choices=[] if asked is None else [(one.answer, one.meaning) for one in asked.question.choices],
        )

    def _tell(self, **facts: Any) -> None:
        about = {"node": self._me, "by_hand": self._player.by_hand, "said": self._said}
        text = json.dumps({"type": "seat", **about, **facts})
        if text != self._drawn:
            self._drawn = text
            self._show(text)
