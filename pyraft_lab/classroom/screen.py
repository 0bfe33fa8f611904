"""A node played by hand on the screen: its state, its questions, the reference's mark of each answer; keys decide."""

import asyncio
from collections import deque
from collections.abc import Iterator

from rich.box import ROUNDED
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pyraft_lab.classroom.keys import keys
from pyraft_lab.engine.state import RaftState
from pyraft_lab.engine.types import NodeId
from pyraft_lab.exercises.mark import Mark
from pyraft_lab.exercises.player import OpenQuestion, Player
from pyraft_lab.exercises.sheet import rows
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.terminal.watch import PAUSE, term_mark
from pyraft_lab.trace.export import notable
from pyraft_lab.trace.record import Record

ANSWER_KEYS = "abcdefg"
NOTES_SHOWN = 3


class Screen:
    """The screen of a learner."""

    me: NodeId = 0
    remote: Remote | None = None

    def __init__(self, room: str, player: Player, stop: asyncio.Event) -> None:
        self._room, self._player, self._stop = room, player, stop
        self._notes: deque[str] = deque(maxlen=NOTES_SHOWN)
        self._mark: Mark | None = None
        self._word = ""
        self._pressed: asyncio.Queue[str] = asyncio.Queue()

    def note(self, record: Record) -> None:
        """Keep a record if it is news."""
        if record.step is not None:
            self._notes.extend(f"n{record.node} {news}" for news in notable(record.step))

    async def run(self) -> None:
        """Draw, and handle keys, until cancelled."""
        console = Console()
        with keys(self._pressed.put_nowait), Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                while not self._pressed.empty():
                    await self._press(self._pressed.get_nowait())
                live.update(self.picture(), refresh=True)
                await asyncio.sleep(PAUSE)

    async def _press(self, key: str) -> None:
        asked = self._player.asked
        match key.lower():
            case "q":
                self._word = "leaving; the others remove your node first ..."
                self._stop.set()
            case "h":
                self._player.by_hand = not self._player.by_hand
                self._word = "" if self._player.by_hand or self.me not in self._player.room.by_hand else PLAY_BY_HAND
            case letter if asked is not None and letter in ANSWER_KEYS[: len(asked.question.choices)]:
                await self._answer(asked, asked.question.choices[ANSWER_KEYS.index(letter)].answer)
            case _ if asked is not None:
                self._word = f"press {ANSWER_KEYS[0]} to {ANSWER_KEYS[len(asked.question.choices) - 1]}"
            case _:
                self._word = "there is no question at the moment"

    async def _answer(self, asked: OpenQuestion, word: str) -> None:
        if asked != self._player.asked:
            return
        mark = await self._player.answer(word)
        self._mark = self._mark if mark is None else mark
        self._word = "your node has moved on meanwhile: look again" if mark is None else ""

    # Picture

    def picture(self) -> Group:
        """The picture of this moment."""
        return Group(*self._parts())

    def _parts(self) -> Iterator[RenderableType]:
        yield self._head()
        if self._player.state is not None:
            yield sheet(self._player.state)
        if self._mark is not None:
            yield answered(self._mark)
        if self._player.asked is not None:
            yield asking(self._player.asked, len(self._player.inbox))
        else:
            yield Text(self._calm(), style="dim")
        yield Text("\n".join(self._notes), style="dim")
        yield Text(self._word, style="bold")
        yield Text("h: play automatically   q: leave the room" if self._player.by_hand else MACHINE, style="dim")

    def _head(self) -> Text:
        head = Text(f"room {self._room}: you are node {self.me}", style="bold")
        right, given = sum(map(bool, self._player.marks)), len(self._player.marks)
        if given:
            head.append(f"   {right} of {given} right", style="not bold")
        if self._player.room.for_real:
            head.append("   answers count: your node does what you answer", style="not bold")
        if self._player.room.pace != 1:
            head.append(f"   clocks {self._player.room.pace:g} times slower", style="not bold")
        if self.remote is not None and not self.remote.is_connected:
            head.append("   the broker is away", style="bold red")
        return head

    def _calm(self) -> str:
        if self._player.by_hand:
            return "Nothing to decide. Questions that you answered right twice in a row are no longer asked."
        return "Your node plays automatically."


PLAY_BY_HAND = "the teacher wants this node played by hand"
MACHINE = "h: play by hand   q: leave the room"


def sheet(state: RaftState) -> Panel:
    """The node's state as in figure 2 of the paper."""
    table = Table.grid(padding=(0, 2))
    table.add_row(Text("role", style="dim"), Text(state.role_name, style="bold"))
    table.add_row(Text("term", style="dim"), term_mark(state.term))
    for name, value in rows(state):
        table.add_row(Text(name, style="dim"), Text(value))
    return Panel(table, title=f"n{state.id}", title_align="left", box=ROUNDED)


def asking(asked: OpenQuestion, waiting: int) -> Panel:
    """The question, its facts, and a key for each choice."""
    question = asked.question
    choices = Table.grid(padding=(0, 2))
    for letter, choice in zip(ANSWER_KEYS, question.choices, strict=False):
        choices.add_row(Text(f" {letter} ", style="reverse"), Text(choice.answer, style="bold"), Text(choice.meaning))
    facts = Text("\n".join(f"· {fact}" for fact in question.facts), style="dim")
    more = f" ({waiting - 1} more waiting)" if waiting > 1 else ""
    body = Group(Text(question.text, style="bold"), facts, Text(""), choices)
    return Panel(body, title=f"question for your node{more}", title_align="left", box=ROUNDED, border_style="bold")


def answered(mark: Mark) -> Panel:
    """The reference's mark of the last answer."""
    head, *rest = str(mark).splitlines()
    body = Text(head, style="bold green" if mark else "bold red")
    body.append("\n" + "\n".join(line.strip() for line in rest), style="not bold default")
    return Panel(body, title="your last answer", title_align="left", box=ROUNDED)
