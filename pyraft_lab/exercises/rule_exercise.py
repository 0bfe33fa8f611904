"""One rule of Raft written by the learner: asked what Raft asks it, and put to work in a cluster.

Three points: it answers every situation, it answers as Raft does, and a cluster that follows it stays safe and alive.
"""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct, ValidationError, convert
from msgspec.structs import replace

from pyraft_lab.check.failure import STEPS
from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises import apart
from pyraft_lab.exercises.exercise import Entry, Exercise
from pyraft_lab.exercises.guard import RuleFailed
from pyraft_lab.exercises.looks import Found, look
from pyraft_lab.exercises.marked import Marked
from pyraft_lab.exercises.own_code import NoRule, rule_from, source_of
from pyraft_lab.exercises.quiz import is_known, unknown
from pyraft_lab.exercises.rule_answers import ANSWERS
from pyraft_lab.exercises.rule_texts import RULE_TEXTS, RuleText
from pyraft_lab.exercises.situations import Difference, differences, in_words, situations, value_in_words
from pyraft_lab.exercises.skeletons import EMPTY
from pyraft_lab.sim.simulation import Simulation

if TYPE_CHECKING:
    from pyraft_lab.viz.sketch import Sketch

POINTS = 3
LONGEST_STORY = 30
"""Lines of a story that are shown."""


class Verdict(Struct, frozen=True, kw_only=True):
    """A verdict on a rule as plain data, which crosses a process: points, text, and the failing run as a capsule."""

    score: int
    text: str
    story: str = ""
    capsule: str = ""


def judge(name: str, source: str) -> Verdict:
    """The verdict on the source of a rule; bounded work, and no exception for whatever the source does."""
    try:
        rule = rule_from(name, source)
    except (NoRule, RuleFailed) as wrong:
        return Verdict(score=0, text=f"✗ {wrong}")
    try:
        found = differences(name, rule)
    except RuleFailed as failed:
        return Verdict(score=0, text=f"✗ {failed}")
    looked = [*look([name], replace(RAFT, **{name: rule}))]
    agrees, is_safe = not found, not looked[-1].name
    lines = [_of_situations(name, found), *_of_cluster(looked), f"  rule: {name} ({RULE_TEXTS[name].section})"]
    run = looked[-1].run
    return Verdict(
        score=1 + agrees + is_safe,
        text="\n".join(lines),
        story="" if run is None else story_of(run),
        capsule="" if run is None else run.capsule(),
    )


def _of_situations(name: str, found: list[Difference]) -> str:
    """What the comparison with Raft showed, with the plainest difference."""
    asked = len(situations(name))
    if not found:
        return f"✓ it answers as Raft does in {asked} situations"
    first = found[0]
    many = f"{len(found)} of {asked}" if len(found) < 50 else f"50 or more of {asked}"
    shown = "\n".join(f"    {line}" for line in in_words(name, first.situation.arguments).splitlines())
    return (
        f"✗ it answers differently from Raft in {many} situations; in the plainest\n{shown}\n"
        f"    you answered {_shown(first.answer)}; Raft answers {_shown(first.situation.answer)}"
    )


def _shown(answer: Any) -> str:
    words = value_in_words(answer)
    return words if len(words) < 120 else f"{words[:117]}..."


def _of_cluster(looked: list[Found]) -> list[str]:
    """What the cluster did, and what was looked at."""
    last = looked[-1]
    if not last.name:
        return [f"✓ a cluster with it stays safe and alive: {', '.join(one.looked for one in looked)}"]
    before = f" (nothing in {', '.join(one.looked for one in looked[:-1])})" if looked[:-1] else ""
    return [f"✗ a cluster with it fails in {last.looked}: {last.name}{before}", f"    {last.what.splitlines()[0]}"]


def story_of(run: Simulation) -> str:
    """The end of a run's story."""
    lines = run.trace.story().splitlines()
    left = len(lines) - LONGEST_STORY
    return "\n".join([*([f"({left} lines before)"] if left > 0 else []), *lines[-LONGEST_STORY:]])


class RuleExercise(Exercise):
    """Write one rule of the table; made by :func:`pyraft_lab.exercises.rule`, answered by ``%%rule NAME`` cells."""

    form: ClassVar[str] = "rule"

    def __init__(self, name: str) -> None:
        if not is_known(name, RULE_TEXTS):
            raise unknown("rule", name, RULE_TEXTS)
        super().__init__(name, out_of=POINTS, hints=RULE_TEXTS[name].hints)
        self.verdict: Verdict | None = None
        self._source = ""

    @property
    def about(self) -> RuleText:
        """The text of this rule's exercise, in parts."""
        return RULE_TEXTS[self.name]

    @property
    def skeleton(self) -> str:
        """A function to begin with: it runs, and fails in a way that teaches what the rule is for."""
        lines = inspect.getsource(getattr(EMPTY, self.name)).splitlines()
        return "\n".join(line.partition("  # noqa")[0] for line in lines)

    @property
    def text(self) -> str:
        """What the rule decides, its section, an example, the types, and the skeleton."""
        return (
            f"{self.name} decides {self.about.decides} ({self.about.section})\n"
            f"  example: {self.about.example}\n"
            f"  answer: {ANSWERS[self.name].words}\n\n%%rule {self.name}\n{self.skeleton}"
        )

    def read(self, given: Any) -> str:
        """The source of a rule, or a function whose source is at hand."""
        return given if isinstance(given, str) else source_of(given)

    def mark(self, answer: Any) -> Marked:
        """Judge a source in a process of its own, where there are processes."""
        source = str(answer)
        self.verdict, self._source = judge_apart(self.name, source), source
        parts = [self.verdict.text, *([self.verdict.story] if self.verdict.story else [])]
        return Marked(
            exercise=self.exercise,
            score=self.verdict.score,
            out_of=POINTS,
            text="\n\n".join(parts),
            answer=source,
            picture=self._still(),
        )

    @property
    def simulation(self) -> Simulation:
        """The failing run of the last answer, to rewind or open in the Lab; raises ``PyraftError`` if none."""
        if self.verdict is None or not self.verdict.capsule:
            raise PyraftError(f"no run of {self.name} has failed; answer with a %%rule cell first")
        rules = replace(RAFT, **{self.name: rule_from(self.name, self._source)})
        return Simulation.from_capsule(self.verdict.capsule, rules=rules)

    @property
    def picture(self) -> str:
        """The failing run as SVG, message by message; the points, if no run failed."""
        if self.verdict is None or not self.verdict.capsule:
            return super().picture
        return figure_of(self.simulation).to_svg()

    def _still(self) -> str:
        """The failing run as HTML, if the run can be played again."""
        if self.verdict is None or not self.verdict.capsule:
            return ""
        try:
            from pyraft_lab.viz.sketch import twin

            return twin(figure_of(self.simulation))
        except PyraftError:
            return ""


def figure_of(run: Simulation) -> "Sketch":
    """The picture of a failing run: its last messages, or what its clients saw if only they could see the failure."""
    from pyraft_lab.viz.verdicts import counterexample, history

    if run.violations:
        return counterexample.sketch(run)
    return history.sketch(check_linearizable(run.history, "kv", steps=STEPS))


def judge_apart(name: str, source: str) -> Verdict:
    """The verdict of another process, which is ended at its limit; of this one where there are no processes."""
    told = apart.run("judge", {"name": name, "source": source}, here=lambda: _as_data(judge(name, source)))
    if "ended" in told:
        return Verdict(score=0, text=f"✗ {name}: {told['ended']}")
    try:
        return convert(told, Verdict)
    except ValidationError as wrong:
        return Verdict(score=0, text=f"✗ {name}: its process gave no verdict: {wrong}")


def _as_data(verdict: Verdict) -> Mapping[str, Any]:
    return {"score": verdict.score, "text": verdict.text, "story": verdict.story, "capsule": verdict.capsule}


def judged(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task of :mod:`pyraft_lab.exercises.apart`: judge what a request holds."""
    return _as_data(judge(str(request["name"]), str(request["source"])))


def entry_of_rule(name: str) -> Entry:
    """The row of a rule in the catalogue."""
    text = RULE_TEXTS[name]
    return Entry(
        exercise=f"rule/{name}", form="rule", name=name, chapter=text.chapter, points=POINTS, title=text.decides
    )
