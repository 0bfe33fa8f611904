"""A node played by hand without a terminal: questions as text, answers as lines."""

import asyncio

from pyraft_lab.classroom.keys import lines
from pyraft_lab.engine.types import NodeId
from pyraft_lab.exercises import UnknownAnswer
from pyraft_lab.exercises.player import OpenQuestion, Player
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.trace.record import Record

PAUSE = 0.05


class LineMode:
    """Print the questions and read the answers; print nothing while the node is automatic."""

    me: NodeId = 0
    remote: Remote | None = None

    def __init__(self, player: Player) -> None:
        self._player = player

    def note(self, record: Record) -> None:
        """Ignore the record: the log reports what happened."""

    async def run(self) -> None:
        """Ask until cancelled."""
        queue, shown = await lines(), None
        while True:
            asked = self._player.asked
            if asked is not None and asked != shown:
                print(f"\n{asked.question}\n", flush=True)
            shown = asked
            await self._hear(queue, asked)

    async def _hear(self, queue: "asyncio.Queue[str | None]", asked: OpenQuestion | None) -> None:
        if asked is None or queue.empty():
            await asyncio.sleep(PAUSE)
            return
        word = queue.get_nowait()
        if word is None:
            self._player.by_hand = False  # no answer can come any more
            return
        try:
            mark = await self._player.answer(word)
        except UnknownAnswer as unknown:
            print(unknown, flush=True)
        else:
            print("The node has moved on meanwhile; look again." if mark is None else mark, flush=True)
