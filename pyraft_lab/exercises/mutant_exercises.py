"""Broken Rafts: read the story of a run and name the rule that is wrong; or get the table and mend it."""

from functools import lru_cache
from inspect import getsource
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.check.failure import failure
from pyraft_lab.check.find_violation import find_violation
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.check.mutants.mutant import Mutant
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.exercises.exercise import Entry, Exercise
from pyraft_lab.exercises.looks import shortened
from pyraft_lab.exercises.mark import UnknownAnswer
from pyraft_lab.exercises.marked import Marked
from pyraft_lab.exercises.own_code import is_blank, source_of
from pyraft_lab.exercises.rule_exercise import figure_of, judge_apart
from pyraft_lab.exercises.rule_texts import RULE_TEXTS
from pyraft_lab.sim.simulation import Simulation

_STARTED = "with what its disk holds: term 0, log up to entry 1 of term 0 (§5.2, Figure 2)"


class MutantText(Struct, frozen=True, kw_only=True):
    """An exercise about a mutant: which one, the chapter, other rules to choose from."""

    mutant: str
    chapter: int
    others: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The rule that is wrong."""
        return next(iter(MUTANTS[self.mutant].rules))


class Diagnosis(Exercise):
    """Name the broken rule of a run; made by :func:`pyraft_lab.exercises.diagnose`."""

    form: ClassVar[str] = "diagnose"

    def __init__(self, name: str, text: MutantText) -> None:
        super().__init__(name, out_of=2, hints=(_mutant(text).hint, _one_of_two(text)))
        self._mutant, self._rule = text.mutant, text.rule
        self.choices = tuple((rule, rule) for rule in sorted({text.rule, *text.others}))

    @property
    def simulation(self) -> Simulation:
        """The run: shrunk, to rewind, to ask, or to open in the Lab."""
        return failing_run(self._mutant)

    @property
    def text(self) -> str:
        """The story without the names of rules, and the question."""
        run = self.simulation
        story = "\n".join(f"  {line}" for line in _discreet(run.trace.story()).splitlines())
        rules = "\n".join(f"  {rule} decides {RULE_TEXTS[rule].decides}" for rule, _ in self.choices)
        what = run.violations[0].what if run.violations else "an answer to a client fits in no order"
        return f"In this run {_violated(run)}: {what}. Which rule is wrong?\n{story}\n\nOne of these is wrong:\n{rules}"

    def read(self, given: Any) -> str:
        """The name of one of the rules; raises ``UnknownAnswer`` for others."""
        name = str(given).strip()
        if name not in dict(self.choices):
            raise UnknownAnswer(name, tuple(dict(self.choices)))
        return name

    def mark(self, answer: Any) -> Marked:
        """Two points for the rule that is wrong; after a wrong answer, where to look."""
        name, right = str(answer), str(answer) == self._rule
        mutant = MUTANTS[self._mutant]
        said = (
            f"it {mutant.description} ({mutant.section})"
            if right
            else f"in this run {name} decided as Raft's own rule does ({RULE_TEXTS[name].section}); "
            f"look at: {mutant.hint}"
        )
        head = f"{'✓ right' if right else '✗ wrong'}: {name}"
        return Marked(exercise=self.exercise, score=2 * right, out_of=2, text=f"{head}\n  {said}", answer=name)

    @property
    def picture(self) -> str:
        """The failing run as SVG, message by message."""
        return figure_of(self.simulation).to_svg()


class Mending(Exercise):
    """Mend a table with one wrong rule; made by :func:`pyraft_lab.exercises.mend`."""

    form: ClassVar[str] = "mend"

    def __init__(self, name: str, text: MutantText) -> None:
        super().__init__(name, out_of=3, hints=(_mutant(text).hint, f"read {_mutant(text).section}"))
        self._mutant, self.rule = text.mutant, text.rule

    @property
    def rules(self) -> Rules:
        """The table with the mistake."""
        return replace(RAFT, **MUTANTS[self._mutant].rules)

    @property
    def simulation(self) -> Simulation:
        """A run that shows the mistake, shrunk."""
        return failing_run(self._mutant)

    @property
    def text(self) -> str:
        """What the wrong rule does, and what to hand in."""
        mutant = MUTANTS[self._mutant]
        wrong = getsource(mutant.rules[self.rule]).rstrip()
        return (
            f"A Raft that {mutant.description}: {_violated(self.simulation)}. Mend {self.rule}.\n"
            f"  {self.rule} decides {RULE_TEXTS[self.rule].decides} ({mutant.section})\n"
            f"  the wrong rule of this table:\n\n{wrong}\n\n"
            f"  write the right one: def {self.rule}(...), then .answer({self.rule})"
        )

    def answer(self, given: Any = ...) -> Marked:
        """Mark a rule; a function whose body is still ``...`` is a blank."""
        if given is not ...:
            given = self.read(given)
            given = ... if is_blank(given) else given
        return super().answer(given)

    def read(self, given: Any) -> str:
        """A function, the mended table, or the source of the rule."""
        match given:
            case str():
                return given
            case Rules():
                return source_of(getattr(given, self.rule))
            case _:
                return source_of(given)

    def mark(self, answer: Any) -> Marked:
        """Judge the rule as in its own exercise; first in the scenario that shows the mistake."""
        verdict = judge_apart(self.rule, str(answer))
        text = "\n\n".join([verdict.text, *([verdict.story] if verdict.story else [])])
        return Marked(exercise=self.exercise, score=verdict.score, out_of=3, text=text, answer=str(answer))

    @property
    def picture(self) -> str:
        """The failing run as SVG."""
        return figure_of(self.simulation).to_svg()


def _mutant(text: MutantText) -> Mutant:
    return MUTANTS[text.mutant]


@lru_cache(maxsize=32)
def failing_run(name: str) -> Simulation:
    """The run of a mutant that violates a property, made shorter."""
    return shortened(find_violation(MUTANTS[name]))


def _one_of_two(text: MutantText) -> str:
    """The last hint of a diagnosis."""
    return f"it is {' or '.join(sorted((text.rule, text.others[0])))}" if text.others else ""


def _violated(run: Simulation) -> str:
    """What a failing run violates; a mistake that only clients see shows in their history."""
    found = failure(run)
    return f'"{found.name}" is violated' if found else "nothing is violated"


def _discreet(story: str) -> str:
    """A story without the first starts, and without the names of the rules that departed from Raft."""
    told = (line for line in story.splitlines() if not (line.startswith("t=0.000 ") and line.endswith(_STARTED)))
    lines = (line.partition("; this run's rule")[0] for line in told)
    return "\n".join(line.partition(" (this run's rule")[0] for line in lines)


DIAGNOSES = {
    "two-leaders-of-one-term": MutantText(
        mutant="votes-twice", chapter=10, others=("has_won", "supersedes", "may_campaign")
    ),
    "an-entry-is-gone": MutantText(
        mutant="ignores-logs", chapter=10, others=("commit_index", "new_entries", "has_won")
    ),
    "four-servers": MutantText(mutant="half-elects", chapter=10, others=("vote_refusal", "answers_vote", "supersedes")),
    "a-late-message": MutantText(
        mutant="writes-again", chapter=10, others=("log_matches", "conflict_hint", "follower_commit")
    ),
    "two-logs": MutantText(mutant="fits-by-length", chapter=10, others=("new_entries", "vote_refusal", "commit_index")),
    "before-the-disk": MutantText(
        mutant="accepts-before-disk", chapter=10, others=("sendable", "log_matches", "commit_index")
    ),
    "a-snapshot-too-late": MutantText(
        mutant="installs-any-snapshot", chapter=10, others=("purge_upto", "purge_limit", "is_snapshot_due")
    ),
    "two-memberships": MutantText(mutant="union-commits", chapter=10, others=("has_won", "may_change", "may_leave")),
}
"""The runs to diagnose, by name."""
MENDINGS = {
    "mend-old-terms": MutantText(mutant="commits-old-terms", chapter=10),
    "mend-late-grants": MutantText(mutant="counts-any-grant", chapter=10),
    "mend-conflicts": MutantText(mutant="keeps-conflicts", chapter=10),
    "mend-early-reads": MutantText(mutant="reads-early", chapter=10),
    "mend-joint-elections": MutantText(mutant="any-set-elects", chapter=10),
}
"""The tables to mend, by name."""


def entries_of_mutants() -> list[Entry]:
    """The rows of these exercises in the catalogue."""
    found = [
        Entry(
            exercise=f"diagnose/{name}",
            form="diagnose",
            name=name,
            chapter=text.chapter,
            points=2,
            title=f"which rule is broken? ({name.replace('-', ' ')})",
        )
        for name, text in DIAGNOSES.items()
    ]
    return found + [
        Entry(
            exercise=f"mend/{name}",
            form="mend",
            name=name,
            chapter=text.chapter,
            points=3,
            title=f"mend a Raft that {MUTANTS[text.mutant].description}",
        )
        for name, text in MENDINGS.items()
    ]
