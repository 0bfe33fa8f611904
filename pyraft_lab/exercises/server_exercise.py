"""Be a server: a scene, a few decisions, one word for each; the reference engine marks them."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from msgspec import Struct

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.errors import ConfigError, PyraftError, Timeout
from pyraft_lab.exercises.exercise import CatalogueEntry, Exercise
from pyraft_lab.exercises.hand import Hand, play
from pyraft_lab.exercises.mark import Mark, UnknownAnswer
from pyraft_lab.exercises.marked import Marked
from pyraft_lab.sim.simulation import Simulation

STORY = Config(pre_vote=False, enable_elect=False)
"""A server becomes a candidate only when it is told to."""


class SceneText(Struct, frozen=True, kw_only=True):
    """A scene as data: who you are, how it begins, and how many decisions are marked."""

    name: str
    chapter: int
    title: str
    node: int
    start: Callable[[], Simulation]
    decisions: int
    hints: tuple[str, ...]


class ServerExercise(Exercise):
    """A scene to play; made by :func:`pyraft_lab.exercises.server`. One word a decision, in order."""

    form: ClassVar[str] = "server"

    def __init__(self, scene: SceneText) -> None:
        super().__init__(scene.name, out_of=scene.decisions, hints=scene.hints)
        self._scene = scene
        self.hand = play(scene.start(), scene.node)
        self.hand.wait()

    @property
    def text(self) -> str:
        """The scene, your state, and the decision that is next."""
        return (
            f"{self._scene.title}\n\n{self.hand}\n\n"
            f"  {self.out_of} decision{'s' * (self.out_of > 1)}: .answer(first, second, ...) with one word each; "
            "... asks for the next one"
        )

    def answer(self, given: Any = ..., *more: Any) -> Marked:
        """Answer the decisions from the beginning; a blank (``...``) ends the list."""
        words = [str(one).strip().lower() for one in (given, *more) if one is not ...]
        if isinstance(given, (list, tuple)):
            words = [str(one).strip().lower() for one in given]
        return super().answer(words or ...)

    def read(self, given: Any) -> list[str]:
        """Words in order."""
        words = [str(one) for one in given]
        if len(words) > self.out_of:
            raise ConfigError("answers", words, f"must be at most {self.out_of} words")
        return words

    def mark(self, answer: Any) -> Marked:
        """Play the scene again with these words; one point for every right one, with the rule that decides."""
        hand = play(self._scene.start(), self._scene.node)
        marks, problem = _played(hand, [str(one) for one in answer])
        self.hand = hand
        right = sum(mark.right for mark in marks)
        parts = [*map(_gentle, marks), *([problem] if problem else [])]
        if len(marks) < self.out_of and not problem:
            parts.append(f"next decision\n{hand}")
        return Marked(
            exercise=self.exercise, score=right, out_of=self.out_of, text="\n".join(parts), answer=list(answer)
        )

    @property
    def picture(self) -> str:
        """Every message so far, as SVG."""
        from pyraft_lab.viz.timelines import space_time

        return space_time.sketch(self.hand.sim, title=self._scene.title).to_svg()


def _played(hand: Hand, words: list[str]) -> tuple[list[Mark], str]:
    """The marks of the words, and why the play ended early."""
    for word in words:
        try:
            hand.wait()
            hand.answer(word)
        except UnknownAnswer as wrong:
            return hand.marks, f"✗ {wrong}"
        except PyraftError as over:
            return hand.marks, f"✗ {word}: {over}"
    with contextlib.suppress(Timeout):
        hand.wait()
    return hand.marks, ""


def _gentle(mark: Mark) -> str:
    """A mark without the right word, which a wrong answer should find by itself."""
    sign = "✓ right" if mark.right else "✗ wrong"
    why = f"\n  {mark.why}" if mark.right else ""
    return f"{sign}: {mark.answer}{why}\n  rule: {mark.rule.label} ({mark.rule.section}). {mark.rule.meaning}"


# Scenes


def two_candidates() -> Simulation:
    """Two of three servers become candidates at the same moment."""
    sim = Simulation(nodes=3, seed=1, config=STORY)
    sim.elect(1)
    sim.elect(3)
    return sim


def led() -> Simulation:
    """n1 leads three servers."""
    sim = Simulation(nodes=3, seed=1, config=STORY)
    sim.elect(1)
    sim.run(0.2)
    return sim


def shorter_log() -> Simulation:
    """n3 missed an entry, and becomes a candidate all the same; n2 heard its leader long ago."""
    sim = led()
    sim.partition({1, 2}, {3})
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.2)
    sim.partition({1}, {2, 3})
    sim.run(0.5)
    sim.elect(3)
    return sim


def late_message() -> Simulation:
    """An append is on its way twice to n2, and another one follows the first copy."""
    sim = led()
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run_until(_appends, timeout=1)
    sim.duplicate(_appends(sim)[0])
    sim.delay(max(_appends(sim)), 0.2)
    sim.run(0.05)
    sim.write({"op": "put", "key": "x", "value": 2})
    return sim


def _appends(sim: Simulation) -> list[int]:
    return [
        one.id for one in sim.flying if one.dst == 2 and isinstance(one.message, AppendRequest) and one.message.entries
    ]


def leading() -> Simulation:
    """You lead, and a client writes."""
    sim = led()
    sim.write({"op": "put", "key": "x", "value": 1})
    return sim


SCENES: Mapping[str, SceneText] = {
    one.name: one
    for one in (
        SceneText(
            name="two-candidates",
            chapter=12,
            title="Two of three servers become candidates at the same moment. You are n2, the third.",
            node=2,
            start=two_candidates,
            decisions=2,
            hints=(
                "How many votes does a server have in one term?",
                "Your first answer changes your state: look again.",
            ),
        ),
        SceneText(
            name="a-candidate",
            chapter=12,
            title="n1 and n3 become candidates at the same moment. You are n1.",
            node=1,
            start=two_candidates,
            decisions=4,
            hints=(
                "Your own vote is one of three: how many do you need?",
                "n3 is in your term, and your vote of this term is given.",
            ),
        ),
        SceneText(
            name="a-log-behind",
            chapter=12,
            title="A candidate missed an entry that you have. You are n2.",
            node=2,
            start=shorter_log,
            decisions=1,
            hints=(
                "Its term is higher than yours; that is one question. Compare the last entries: that is the other.",
            ),
        ),
        SceneText(
            name="a-late-message",
            chapter=12,
            title="A message arrives twice, and its copy is late. You are n2.",
            node=2,
            start=late_message,
            decisions=2,
            hints=("Does your log hold the entry before the new one?", "Is there anything in your log that conflicts?"),
        ),
        SceneText(
            name="counting-copies",
            chapter=12,
            title="You are n1, the leader; a client has written x.",
            node=1,
            start=leading,
            decisions=2,
            hints=("On how many disks is entry 3 at this moment?", "A majority of three is two, and you count, too."),
        ),
    )
}
"""Every scene by name."""


def entry_of_scene(scene: SceneText) -> CatalogueEntry:
    """The row of a scene in the catalogue."""
    return CatalogueEntry(
        exercise=f"server/{scene.name}",
        form="server",
        name=scene.name,
        chapter=scene.chapter,
        points=scene.decisions,
        title=scene.title,
    )
