"""An exercise: a text, hints, an answer that is marked, and a score."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from msgspec import Struct

from pyraft_lab.exercises import widgets
from pyraft_lab.exercises.hints import Hints
from pyraft_lab.exercises.marked import Marked, as_page, points
from pyraft_lab.exercises.reference import Blank, reference_answer


class Entry(Struct, frozen=True, kw_only=True):
    """One row of the catalogue: the full name, the form, the number of the chapter, the points and a title."""

    exercise: str
    form: str
    name: str
    chapter: int
    points: int
    title: str


class Exercise(ABC):
    """One exercise; subclasses say what an answer is and how it is marked.

    ``answer(...)`` with a literal ``...`` is a blank: it shows the exercise and marks nothing.
    """

    form: ClassVar[str]
    """The first part of the full name, such as ``quiz``."""

    def __init__(self, name: str, *, out_of: int, hints: Iterable[str]) -> None:
        self.name, self.out_of = name, out_of
        self.hints = Hints(hints)
        self.last: Marked | None = None

    @property
    def exercise(self) -> str:
        """The full name: form and name."""
        return f"{self.form}/{self.name}"

    @property
    def score(self) -> int:
        """The points of the last answer; 0 before the first."""
        return self.last.score if self.last else 0

    @property
    @abstractmethod
    def text(self) -> str:
        """The task in words."""

    @property
    def task(self) -> str:
        """The text without the answers to choose from, where buttons show these."""
        return self.text

    @abstractmethod
    def mark(self, answer: Any) -> Marked:
        """Mark an answer in its JSON form; nothing is remembered."""

    def read(self, given: Any) -> Any:
        """The JSON form of what a learner passed to :meth:`answer`; raises ``PyraftError`` for what is no answer."""
        return given

    def answer(self, given: Any = ...) -> Marked:
        """Mark an answer and keep it; a blank (``...``) is filled by the reference answer where a test names one."""
        if isinstance(given, Blank):
            given = reference_answer(self.exercise)
            if given is None:
                return Marked(exercise=self.exercise, score=0, out_of=self.out_of, text=self._blank())
        else:
            given = self.read(given)
        self.last = self.mark(given)
        return self.last

    def hint(self) -> str:
        """One more hint."""
        return self.hints.more()

    @property
    def picture(self) -> str:
        """A static picture as SVG: of the last answer where it has one, else the points so far."""
        from pyraft_lab.viz.answers import shares

        had = {"points": self.score, "left": self.out_of - self.score}
        return shares.sketch(had, title=self.exercise, finding=points(self.score, self.out_of)).to_svg()

    def _blank(self) -> str:
        return f"{self.exercise} is not answered yet: replace the ... with your answer"

    def __str__(self) -> str:
        parts = [self.text, f"({points(self.score, self.out_of)})"]
        return "\n".join([*parts, *([repr(self.hints)] if self.hints.given else [])])

    __repr__ = __str__

    def _repr_mimebundle_(self, *_: object, **__: object) -> Mapping[str, Any]:
        """The text, as text and as HTML."""
        return as_page(str(self))

    def _ipython_display_(self) -> None:
        """The text with buttons, where a notebook has ipywidgets and there is something to choose."""
        if not widgets.show(self):
            raise NotImplementedError  # IPython then asks for the text
