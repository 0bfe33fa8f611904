"""Predict, then run: the answer is locked, one run shows what happened, and many seeds show how usual that is."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar

from msgspec import Struct

from pyraft_lab.arguments import function, integer, text
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.exercises.exercise import CatalogueEntry, Exercise
from pyraft_lab.exercises.mark import UnknownAnswer
from pyraft_lab.exercises.marked import Marked

MOST_SEEDS = 10_000
MOST_CHOICES = 12
Scored = Callable[[int], Any]
"""A function that plays the run of one seed and returns the choice that happened."""


class Locked(PyraftError):
    """The prediction was made already; it stays."""


class PredictionText(Struct, frozen=True, kw_only=True):
    """A prediction of the catalogue as data; ``section`` says in a sentence why, and where it stands."""

    name: str
    chapter: int
    question: str
    choices: tuple[str, ...]
    scored_by: Scored
    section: str
    hints: tuple[str, ...]
    seeds: int = 40


class Prediction(Exercise):
    """A question about a run; made by :func:`pyraft_lab.exercises.predict`, answered once with :meth:`answer`."""

    form: ClassVar[str] = "predict"

    def __init__(
        self,
        question: str,
        choices: Iterable[Any],
        *,
        scored_by: Scored,
        seeds: int = 200,
        name: str = "own",
        section: str = "",
        hints: Iterable[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__(name, out_of=1, hints=_hints(hints))
        self.question = text("question", question)
        self._values = _checked(choices)
        self._scored_by = function("scored_by", scored_by)
        self.seeds = integer("seeds", seeds, 1, MOST_SEEDS)
        self._section = section
        self._progress = None if progress is None else function("progress", progress)
        self.counts: Mapping[str, int] = {}

    @property
    def choices(self) -> tuple[tuple[str, str], ...]:
        """Pairs of an answer and what to show for it."""
        return tuple((name, name) for name in self._values)

    @property
    def text(self) -> str:
        """The question and its choices."""
        return "\n".join([self.task, *(f"  {name}" for name in self._values)])

    @property
    def task(self) -> str:
        """The question."""
        return self.question

    def read(self, given: Any) -> str:
        """One of the choices; raises ``UnknownAnswer`` for others, and :class:`Locked` once it was answered."""
        name = str(given).strip()
        if name not in self._values:
            raise UnknownAnswer(name, tuple(self._values))
        if self.last is not None and self.last.answer != name:
            raise Locked(f"you predicted {self.last.answer!r}, and a prediction stays; make a new one to predict again")
        return name

    def mark(self, answer: Any) -> Marked:
        """Run all seeds; one point if the prediction is what happened most often."""
        name = str(answer)
        self.counts = self._run()
        first, most = next(iter(self.counts)), max(self.counts.values())
        ordered = {choice: self.counts.get(choice, 0) for choice in self._values}
        right = ordered.get(name, 0) == most
        lines = [
            f"{'✓' if right else '✗'} you predicted: {name}",
            *(f"  {line}" for line in _found(ordered, first=first, guess=name)),
            *([f"  why: {self._section}"] if self._section else []),
        ]
        return Marked(
            exercise=self.exercise,
            score=int(right),
            out_of=1,
            text="\n".join(lines),
            answer=name,
            picture=self._bars(ordered, name),
        )

    def _run(self) -> Mapping[str, int]:
        """How often each choice happened; the choice of seed 0 comes first."""
        found = Counter[str]()
        for seed in range(self.seeds):
            happened = self._played(seed)
            if happened not in self._values:
                raise ConfigError(
                    "scored_by", happened, f"must return one of {', '.join(self._values)}; seed {seed} did not"
                )
            found[happened] += 1
            if self._progress is not None:
                self._progress(seed + 1, self.seeds)
        return dict(found)

    def _played(self, seed: int) -> str:
        """The choice that happened in one run; raises ``PyraftError`` if the function raised."""
        try:
            return str(self._scored_by(seed))
        except Exception as error:
            raise PyraftError(f"scored_by raised {type(error).__name__} for seed {seed}: {error}") from error

    def _bars(self, counts: Mapping[str, int], guess: str) -> str:
        from pyraft_lab.viz.answers import shares
        from pyraft_lab.viz.sketch import twin

        return twin(shares.sketch(counts, guess=guess, title=f"What happened in {self.seeds} runs"))

    @property
    def picture(self) -> str:
        """The bars as SVG, once the prediction is made."""
        if self.last is None:
            return super().picture
        from pyraft_lab.viz.answers import shares

        ordered = {choice: self.counts.get(choice, 0) for choice in self._values}
        return shares.sketch(ordered, guess=str(self.last.answer), title=self.question).to_svg()


def _found(counts: Mapping[str, int], *, first: str, guess: str) -> list[str]:
    """What the runs say: what always happened, or how often each; and whether the guess was right or lucky."""
    runs, usual = sum(counts.values()), max(counts, key=lambda choice: counts[choice])
    if counts[usual] == runs:
        return [f"in all {runs} runs: {usual}"]
    ranked = sorted((choice for choice in counts if counts[choice]), key=lambda choice: -counts[choice])
    often = ", ".join(f"{choice} {counts[choice]}" for choice in ranked)
    right = counts.get(guess, 0) == counts[usual]
    return [
        f"the run of seed 0: {first}",
        f"{runs} runs: {often}",
        _luck(right=right, once=first == guess, usual=usual),
    ]


def _luck(*, right: bool, once: bool, usual: str) -> str:
    """Whether somebody was right or lucky, wrong or unlucky."""
    if right:
        return "right, and it is what usually happens" if once else "right in most runs, though not in the first"
    return f"lucky once; usually: {usual}" if once else f"usually: {usual}"


def _hints(hints: Iterable[str]) -> tuple[str, ...]:
    if isinstance(hints, (str, bytes, Mapping)) or not isinstance(hints, Iterable):
        raise ConfigError("hints", hints, "must be a list of strings")
    return tuple(text("hints", one) for one in hints)


def _checked(choices: Iterable[Any]) -> tuple[str, ...]:
    if isinstance(choices, (str, bytes, Mapping)) or not isinstance(choices, Iterable):
        raise ConfigError("choices", choices, "must be a list of two or more answers, such as ['yes', 'no']")
    names = tuple(str(one).strip() for one in choices)
    if not 2 <= len(names) <= MOST_CHOICES or len(set(names)) < len(names) or "" in names:
        raise ConfigError("choices", names, f"must be 2 to {MOST_CHOICES} different answers")
    return names


def from_text(prediction: PredictionText) -> Prediction:
    """A prediction of the catalogue."""
    return Prediction(
        prediction.question,
        prediction.choices,
        scored_by=_remembered(prediction.scored_by),
        seeds=prediction.seeds,
        name=prediction.name,
        section=prediction.section,
        hints=prediction.hints,
    )


@lru_cache(maxsize=64)
def _remembered(scored_by: Scored) -> Scored:
    """The same function, which plays every seed once."""
    return lru_cache(maxsize=1024)(scored_by)


def entry_of_prediction(prediction: PredictionText) -> CatalogueEntry:
    """The row of a prediction in the catalogue."""
    return CatalogueEntry(
        exercise=f"predict/{prediction.name}",
        form="predict",
        name=prediction.name,
        chapter=prediction.chapter,
        points=1,
        title=prediction.question,
    )
