"""Forensics: the trace of an outage, and questions about it; the answers are kept only as salted digests."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct

from pyraft_lab.did_you_mean import did_you_mean
from pyraft_lab.errors import ConfigError
from pyraft_lab.exercises.exercise import CatalogueEntry, Exercise
from pyraft_lab.exercises.marked import Marked
from pyraft_lab.extras import needed
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.trace import Trace

if TYPE_CHECKING:
    import pandas as pd


class Asked(Struct, frozen=True):
    """A question about a trace: its text, the digest of the answer, and where to look if it was wrong."""

    text: str
    digest: str
    look: str


class CaseText(Struct, frozen=True, kw_only=True):
    """An outage as data: what users reported, the run, the questions by key, and the rule that explains it."""

    name: str
    chapter: int
    report: str
    run: Callable[[], Simulation]
    questions: Mapping[str, Asked]
    rule: str


class Case(Exercise):
    """An outage to explain; made by :func:`pyraft_lab.exercises.forensics`."""

    form: ClassVar[str] = "forensics"

    def __init__(self, case: CaseText) -> None:
        super().__init__(case.name, out_of=len(case.questions), hints=[one.look for one in case.questions.values()])
        self._case = case
        self.trace: Trace = _trace(case.run)

    @property
    def events(self) -> "pd.DataFrame":
        """The events of the outage: one row a step or fault."""
        return self.trace.events

    @property
    def messages(self) -> "pd.DataFrame":
        """The messages of the outage."""
        return self.trace.messages

    @property
    def questions(self) -> tuple[str, ...]:
        """The keys of the questions."""
        return tuple(self._case.questions)

    @property
    def text(self) -> str:
        """What users reported, and the questions."""
        asked = "\n".join(f"  {key}: {one.text}" for key, one in self._case.questions.items())
        keys = ", ".join(f"{key}=..." for key in self.questions)
        return (
            f"{self._case.report}\n{asked}\n"
            "  .events and .messages are frames of what happened, .trace.story() tells it;\n"
            f"  then .answer({keys})"
        )

    def answer(self, given: Any = ..., **answers: Any) -> Marked:
        """Answer some or all questions by their keys; ``...`` leaves one open."""
        open_ones = [key for key in answers if key not in self._case.questions]
        if open_ones:
            raise ConfigError("question", open_ones[0], did_you_mean(open_ones[0], self.questions))
        named = {key: _plain(value) for key, value in answers.items() if value is not ...}
        return super().answer(named or given)

    def read(self, given: Any) -> dict[str, str]:
        """Answers by key, as text."""
        if not isinstance(given, Mapping):
            raise ConfigError("answers", given, f"must be given by key: {', '.join(self.questions)}")
        return {str(key): _plain(value) for key, value in given.items()}

    def mark(self, answer: Any) -> Marked:
        """One point for every right answer, compared by digest."""
        said = dict(answer)
        lines, score = [], 0
        for key, one in self._case.questions.items():
            if key not in said:
                lines.append(f"· {key}: open")
                continue
            right = digest(self.name, key, said[key]) == one.digest
            score += right
            more = "" if right else f" is not what the trace shows; look at {one.look}"
            lines.append(f"{'✓' if right else '✗'} {key}: {said[key]}{more}")
        if score == self.out_of:
            lines.append(f"  rule: {self._case.rule}")
        return Marked(exercise=self.exercise, score=score, out_of=self.out_of, text="\n".join(lines), answer=said)

    @property
    def picture(self) -> str:
        """A chart of who led when, as SVG."""
        with needed("plotly"):
            from pyraft_lab.viz.timelines import roles
        return roles(self.trace, title=self._case.report).to_svg()


def _plain(value: Any) -> str:
    """An answer as text: ids and numbers without decoration.

    >>> _plain("N3"), _plain(3), _plain(" n3 ")
    ('3', '3', '3')
    """
    words = str(value).strip().lower()
    return words[1:] if words[:1] == "n" and words[1:].isdigit() else words


def digest(case: str, key: str, answer: str) -> str:
    """The digest of an answer, salted with its question."""
    return blake2b(f"{case}/{key}/{answer}".encode(), digest_size=8, salt=b"pyraft-lab").hexdigest()


@lru_cache(maxsize=16)
def _trace(run: Callable[[], Simulation]) -> Trace:
    return run().trace


def entry_of_case(case: CaseText) -> CatalogueEntry:
    """The row of a case in the catalogue."""
    return CatalogueEntry(
        exercise=f"forensics/{case.name}",
        form="forensics",
        name=case.name,
        chapter=case.chapter,
        points=len(case.questions),
        title=case.report,
    )
