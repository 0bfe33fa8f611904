"""Multiple choice: every wrong answer names its misconception."""

from collections.abc import Container
from typing import Any, ClassVar

from msgspec import Struct

from pyraft_lab.did_you_mean import did_you_mean
from pyraft_lab.errors import ConfigError
from pyraft_lab.exercises.exercise import CatalogueEntry, Exercise
from pyraft_lab.exercises.mark import UnknownAnswer
from pyraft_lab.exercises.marked import Marked

LETTERS = "abcdef"


class Option(Struct, frozen=True):
    """One answer of a quiz, and what to say to somebody who gives it: why it is right, or the misconception."""

    text: str
    reply: str
    right: bool = False


class QuizText(Struct, frozen=True, kw_only=True):
    """A quiz as data: its question, its options (one is right), where the answer stands, and hints."""

    name: str
    chapter: int
    question: str
    options: tuple[Option, ...]
    section: str
    hints: tuple[str, ...]

    @property
    def right(self) -> str:
        """The letter of the right option."""
        return next(letter for letter, option in zip(LETTERS, self.options, strict=False) if option.right)


class Quiz(Exercise):
    """A question with a few answers; made by :func:`pyraft_lab.exercises.quiz`."""

    form: ClassVar[str] = "quiz"

    def __init__(self, quiz: QuizText) -> None:
        super().__init__(quiz.name, out_of=1, hints=quiz.hints)
        self._quiz = quiz

    @property
    def choices(self) -> tuple[tuple[str, str], ...]:
        """Pairs of a letter and the text of its option."""
        return tuple(
            (letter, f"{letter}  {one.text}") for letter, one in zip(LETTERS, self._quiz.options, strict=False)
        )

    @property
    def text(self) -> str:
        """The question and its options."""
        return "\n".join([self.task, *(f"  {words}" for _, words in self.choices)])

    @property
    def task(self) -> str:
        """The question."""
        return self._quiz.question

    def read(self, given: Any) -> str:
        """A letter, in any case; raises ``UnknownAnswer`` for others."""
        letter = str(given).strip().lower()
        letters = tuple(one for one, _ in self.choices)
        if letter not in letters:
            raise UnknownAnswer(str(given), letters)
        return letter

    def mark(self, answer: Any) -> Marked:
        """One point for the right option; the reply of the chosen one in every case."""
        letter = self.read(answer)
        chosen = self._quiz.options[LETTERS.index(letter)]
        head = f"{'✓ right' if chosen.right else '✗ wrong'}: {letter}  {chosen.text}"
        lines = [head, f"  {chosen.reply}", f"  rule: {self._quiz.section}"]
        return Marked(exercise=self.exercise, score=int(chosen.right), out_of=1, text="\n".join(lines), answer=letter)


def entry_of_quiz(quiz: QuizText) -> CatalogueEntry:
    """The row of a quiz in the catalogue."""
    return CatalogueEntry(
        exercise=f"quiz/{quiz.name}", form="quiz", name=quiz.name, chapter=quiz.chapter, points=1, title=quiz.question
    )


def unknown(form: str, name: object, known: Any) -> ConfigError:
    """The error for an exercise that does not exist."""
    return ConfigError(form, name, did_you_mean(name, known))


def is_known(name: object, known: Container[str]) -> bool:
    """Whether a name is one of the known; a list, say, is not."""
    return isinstance(name, str) and name in known
