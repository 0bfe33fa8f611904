"""What a learner sees: state, question with a key for each choice, and what the reference said."""

import asyncio
import io

from rich.console import Console, RenderableType

from pyraft_lab.classroom.keys import LineEditor
from pyraft_lab.classroom.screen import Screen, answered, asking, sheet
from pyraft_lab.exercises import play
from pyraft_lab.exercises.player import HeldEvent, OpenQuestion, Player
from tests.exercises import scenes


def text(part: RenderableType, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(part)
    return console.export_text()


def test_every_choice_has_its_key() -> None:
    hand = play(scenes.rivals(), 2)
    found = hand.wait()
    shown = text(asking(OpenQuestion(HeldEvent(event=None), found), waiting=2))  # type: ignore[arg-type]
    assert "question for your node (1 more waiting)" in shown
    assert " a   grant  yes" in shown
    assert " d   vote   no: I have voted in that term" in shown


def test_a_sheet_shows_figure_2() -> None:
    shown = text(sheet(scenes.led().nodes[1].state))
    assert "role        leader" in shown
    assert "matchIndex  n1 2, n2 2, n3 2" in shown


def test_a_wrong_answer_is_shown_with_the_rule() -> None:
    hand = play(scenes.rivals(), 2)
    hand.wait()
    shown = text(answered(hand.answer("log")))
    assert "✗ wrong: log; Raft says grant" in shown
    assert "rule: vote granted (§5.2, §5.4.1)" in shown


async def test_a_screen_says_who_plays() -> None:
    screen = Screen("room7", Player(), asyncio.Event())
    screen.me = 4
    shown = text(screen.picture())
    assert "room room7: you are node 4" in shown
    assert "Your node plays automatically." in shown


def test_a_line_is_edited_key_by_key() -> None:
    entered: list[str] = []
    editor = LineEditor(entered.append)
    for key in "healx\x7f\x1b\n":
        editor.on_key(key)
    assert (entered, editor.text) == (["heal"], "")
