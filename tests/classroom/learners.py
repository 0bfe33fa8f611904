"""A learner with a connection of their own, who answers every question of their node as a script says."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from pyraft_lab.classroom.seat import RoomAddress, take_seat
from pyraft_lab.engine.types import NodeId
from pyraft_lab.exercises.player import Player
from pyraft_lab.exercises.question import Question
from pyraft_lab.runtime.remote import Remote

Script = Callable[[int, Question], str]
"""The answer to a learner's question, by how many answers came before."""


class Learner:
    """A seat at ``place``; the disk of its node is in ``disk``."""

    def __init__(self, place: RoomAddress, disk: Path, script: Script) -> None:
        self.player, self.stop, self.node = Player(), asyncio.Event(), NodeId(0)
        self.meant: list[bool] = []
        """Whether each answer was meant to be right."""
        self._place, self._disk, self._script = place, disk, script

    async def sit(self) -> None:
        """Stay in the room until ``stop``."""
        place = self._place
        async with Remote.connect(place.broker, cluster=place.cluster, timeout=place.timeout) as remote:
            await remote.catch_up(seconds=60.0)
            tasks = [asyncio.create_task(self._answer()), asyncio.create_task(self._tell(remote))]
            try:
                await take_seat(place, remote, self._disk, self.stop, told=self._told, player=self.player)
            finally:
                for task in tasks:
                    task.cancel()

    def _told(self, node: NodeId) -> None:
        self.node = node

    async def _tell(self, remote: Remote) -> None:
        told = None
        while True:
            if self.node and self.player.playing != told:
                remote.publish_playing(self.node, told := self.player.playing)
            await asyncio.sleep(0.1)

    async def _answer(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            if (asked := self.player.asked) is not None:
                word = self._script(len(self.player.marks), asked.question)
                if await self.player.answer(word) is not None:
                    self.meant.append(word in asked.question.right)
