"""Build Raft, stage by stage: each adds a few rules to the table, and is graded by the same checks as single rules."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.did_you_mean import did_you_mean
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.consult import RULE_NAMES
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.exercises import apart, own_rules, sessions_stage
from pyraft_lab.exercises.exercise import Entry, Exercise
from pyraft_lab.exercises.guard import RuleFailed
from pyraft_lab.exercises.looks import look
from pyraft_lab.exercises.marked import Marked
from pyraft_lab.exercises.own_code import NoRule, rule_from, source_of, sources_of
from pyraft_lab.exercises.reference import reference_answer
from pyraft_lab.exercises.rule_texts import RULE_TEXTS
from pyraft_lab.exercises.situations import differences
from pyraft_lab.exercises.skeletons import EMPTY
from pyraft_lab.extras import needed
from pyraft_lab.sim.simulation import Simulation

X = {"op": "put", "key": "x", "value": 1}


class StageText(Struct, frozen=True, kw_only=True):
    """A stage as data: its rules, what the cluster can do afterwards, and a check of that with the learner's table."""

    name: str
    chapter: int
    rules: tuple[str, ...]
    then: str
    works: Callable[[Simulation], str]


def _elects(sim: Simulation) -> str:
    sim.run(2.0)
    return "" if sim.leader else "no leader after two seconds"


def _replicates(sim: Simulation) -> str:
    sim.run(1.0)
    sim.write(X)
    sim.run(0.5)
    held = sum(node.log.last.index >= 3 for node in sim.nodes.values())
    return "" if held == len(sim.nodes) else f"the entry of a write is in {held} of {len(sim.nodes)} logs"


def _answers(sim: Simulation) -> str:
    sim.run(1.0)
    call = sim.write(X)
    sim.run(0.5)
    return "" if call.ok else "a write is not answered"


def _survives(sim: Simulation) -> str:
    problem = _answers(sim)
    if problem:
        return problem
    for node in sim.nodes:
        sim.crash(node)
    for node in sim.nodes:
        sim.restart(node)
    sim.run(2.0)
    leader = sim.leader
    if leader is None:
        return "no leader after a restart of all servers"
    return "" if sim.nodes[leader].machine.query("x") == 1 else "x is lost after a restart of all servers"


def _compacts(sim: Simulation) -> str:
    sim.run(1.0)
    for _ in range(40):
        sim.write(X)
        sim.run(0.02)
    sim.run(1.0)
    return "" if any(node.state.snapshot_last.index for node in sim.nodes.values()) else "no snapshot after 40 writes"


def _changes(sim: Simulation) -> str:
    sim.run(1.0)
    sim.add_learner(6)
    sim.run(0.5)
    call = sim.change_membership({2, 3, 4, 5, 6})
    sim.run(1.5)
    return "" if call.ok else "a change of membership is not answered"


def _reads(sim: Simulation) -> str:
    problem = _answers(sim)
    call = sim.read("x")
    sim.run(0.5)
    return problem or ("" if call.ok and call.value == 1 else "a read is not answered")


STAGES = (
    StageText(
        name="election",
        chapter=1,
        rules=(
            *("supersedes", "adopted_vote", "vote_refusal", "pre_vote_refusal", "may_campaign", "answers_vote"),
            "has_won",
        ),
        then="your servers elect one leader a term",
        works=_elects,
    ),
    StageText(
        name="log",
        chapter=3,
        rules=("log_matches", "new_entries", "conflict_hint", "next_probe"),
        then="a write reaches every log",
        works=_replicates,
    ),
    StageText(
        name="commit",
        chapter=2,
        rules=("commit_index", "follower_commit"),
        then="a write is committed and answered",
        works=_answers,
    ),
    StageText(
        name="persistence",
        chapter=16,
        rules=("sendable", "waits_for_disk"),
        then="promises are on disk before they are sent",
        works=_survives,
    ),
    StageText(
        name="restart",
        chapter=16,
        rules=("starts_with_vote_lease",),
        then="a restarted server keeps its promises",
        works=_survives,
    ),
    StageText(
        name="snapshots",
        chapter=5,
        rules=("is_snapshot_due", "would_interrupt_transfer", "purge_upto", "purge_limit", "is_snapshot_useful"),
        then="logs stay short",
        works=_compacts,
    ),
    StageText(
        name="membership",
        chapter=4,
        rules=("may_change", "next_membership", "may_leave"),
        then="the members may change while clients go on",
        works=_changes,
    ),
    StageText(
        name="reads",
        chapter=17,
        rules=("acked_round", "is_read_safe", "read_at", "has_valid_lease", "starts_lease", "fires_first"),
        then="reads are linearizable",
        works=_reads,
    ),
)
SESSIONS = "sessions"
CONFIG = Config(snapshot_logs_since_last=20, keep_logs=5)
LOOKS = 3
"""Points for the looks at a cluster: scenarios, the explorer, a run with faults."""


class Stage(Exercise):
    """One stage of Build Raft; its answer is a table, of which it reads the rules up to this stage."""

    form: ClassVar[str] = "build"

    def __init__(self, stage: StageText) -> None:
        hints = tuple(f"{rule}: {RULE_TEXTS[rule].hints[0]}" for rule in stage.rules)
        super().__init__(stage.name, out_of=len(stage.rules) + LOOKS + 1, hints=hints)
        self.rules, self._stage = stage.rules, stage

    @property
    def text(self) -> str:
        """The rules of this stage and what they decide."""
        rules = "\n".join(f"  {rule}: {RULE_TEXTS[rule].decides} ({RULE_TEXTS[rule].section})" for rule in self.rules)
        head = f"Stage {self.name}: with these rules {self._stage.then}."
        return f"{head}\n{rules}\n  write each in a %%rule cell; .grade() marks them"

    def simulation(self, rules: Rules | None = None) -> Simulation:
        """Five servers under your table alone: your rules up to this stage, and an empty table beyond."""
        return under_own_table(self.name, own_rules.mine() if rules is None else rules)

    def grade(self, rules: Rules | None = None) -> Marked:
        """Grade a table; by default the one of the ``%%rule`` cells of this session."""
        if rules is not None:
            return self.answer(rules)
        written = {**(reference_answer(self.exercise) or {}), **self._own()}  # rules not written yet are blanks
        return self.answer(written or ...)

    def _own(self) -> dict[str, str]:
        wanted = up_to(self.name)
        return {name: source for name, source in own_rules.sources().items() if name in wanted}

    def read(self, given: Any) -> dict[str, str]:
        """A table, or the sources of its rules by name."""
        wanted = up_to(self.name)
        if isinstance(given, Rules):
            return {name: source for name, source in sources_of(given, EMPTY).items() if name in wanted}
        if not isinstance(given, Mapping) or not all(isinstance(one, str) for pair in given.items() for one in pair):
            raise ConfigError("rules", given, "must be a table of Rules, or sources by the name of the rule")
        unknown = sorted(set(given) - set(RULE_NAMES))
        if unknown:
            raise ConfigError("rules", unknown[0], did_you_mean(unknown[0], RULE_NAMES))
        return {name: source for name, source in given.items() if name in wanted}

    def mark(self, answer: Any) -> Marked:
        """Grade sources in a process of its own."""
        request = {"stage": self.name, "sources": dict(answer)}
        told = apart.run("stage", request, here=lambda: graded(request), limit=90.0)
        if "ended" in told:
            told = {"score": 0, "text": f"✗ {self.name}: {told['ended']}"}
        return Marked(exercise=self.exercise, out_of=self.out_of, answer=answer, score=told["score"], text=told["text"])

    @property
    def picture(self) -> str:
        """Two seconds of your cluster at this stage as SVG: who leads when."""
        sim = self.simulation()
        try:
            sim.run(2.0)
        except (PyraftError, AssertionError, LookupError, TypeError, ValueError):
            return super().picture
        with needed("plotly"):
            from pyraft_lab.viz.timelines import roles
        return roles(sim, title=f"Your cluster, stage {self.name}").to_svg()


class SessionsStage(Exercise):
    """The last stage: a function ``apply_once(answers, serial, run)``."""

    form: ClassVar[str] = "build"

    def __init__(self) -> None:
        super().__init__(SESSIONS, out_of=len(sessions_stage.CHECKS), hints=sessions_stage.HINTS)
        self.rules: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The task, and the skeleton."""
        return (
            "Stage sessions: then a command happens once, however often a client sends it (dissertation §6.3).\n"
            f"{sessions_stage.SKELETON}\n  then .grade(apply_once)"
        )

    @property
    def skeleton(self) -> str:
        """A function to begin with."""
        return sessions_stage.SKELETON

    def grade(self, function: Any = ...) -> Marked:
        """Grade a function, or its source."""
        return self.answer(function)

    def read(self, given: Any) -> str:
        """The source of a function."""
        return given if isinstance(given, str) else source_of(given)

    def mark(self, answer: Any) -> Marked:
        """Grade a source in a process of its own."""
        request = {"stage": SESSIONS, "sources": {SESSIONS: str(answer)}}
        told = apart.run("stage", request, here=lambda: graded(request), limit=60.0)
        if "ended" in told:
            told = {"score": 0, "text": f"✗ sessions: {told['ended']}"}
        return Marked(
            exercise=self.exercise, out_of=self.out_of, answer=str(answer), score=told["score"], text=told["text"]
        )


def up_to(stage: str) -> tuple[str, ...]:
    """The rules of a stage and of all before it."""
    place = next(number for number, one in enumerate(STAGES) if one.name == stage)
    return tuple(rule for one in STAGES[: place + 1] for rule in one.rules)


def under_own_table(stage: str, rules: Rules) -> Simulation:
    """Five servers under the rules up to a stage, and the empty table beyond."""
    own = {name: getattr(rules, name) for name in up_to(stage)}
    return Simulation(5, 7, rules=replace(EMPTY, **own), config=CONFIG)


# Grading, in a process of its own


def graded(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task of :mod:`pyraft_lab.exercises.apart`: points and text for the sources of a stage."""
    stage, sources = str(request["stage"]), dict(request["sources"])
    lines = [*(_of_sessions(sources[SESSIONS]) if stage == SESSIONS else _of_stage(stage, sources))]
    return {
        "score": sum(one.startswith("✓") for one in lines),
        "text": "\n".join(one for one in lines),
    }


def _of_sessions(source: str) -> Iterator[str]:
    try:
        for words, problem in sessions_stage.checks(source):
            yield f"✗ {words}: {problem}" if problem else f"✓ {words}"
    except (NoRule, RuleFailed) as wrong:
        yield f"✗ {wrong}"


def _of_stage(name: str, sources: Mapping[str, str]) -> Iterator[str]:
    stage = next(one for one in STAGES if one.name == name)
    rules, problems = _compiled(sources, up_to(name))
    for rule in stage.rules:
        problem = problems.get(rule) or _compared(rule, rules)
        yield f"✗ {rule}: {problem}" if problem else f"✓ {rule} answers as Raft does"
    if any(rule in problems for rule in up_to(name)):
        yield "· the cluster waits until every rule up to here is written"
        return
    yield from _of_cluster(stage, rules)


def _compiled(sources: Mapping[str, str], wanted: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """The rules that could be compiled, and what is wrong with the others."""
    rules, problems = dict[str, Any](), dict[str, str]()
    for rule in wanted:
        if rule not in sources:
            problems[rule] = "not written yet"
            continue
        try:
            rules[rule] = rule_from(rule, sources[rule])
        except (NoRule, RuleFailed) as wrong:
            problems[rule] = str(wrong)
    return rules, problems


def _compared(rule: str, rules: Mapping[str, Any]) -> str:
    try:
        found = differences(rule, rules[rule])
    except RuleFailed as failed:
        return str(failed)
    return f"it answers differently from Raft in {len(found)} situations; see %%rule {rule}" if found else ""


def _of_cluster(stage: StageText, rules: Mapping[str, Any]) -> Iterator[str]:
    """The looks at a cluster of these rules among Raft's own, and what the learner's table can do alone."""
    for found in look(stage.rules, replace(RAFT, **rules)):
        said = f"{found.name}: {found.what.splitlines()[0]}" if found.name else ""
        yield f"✗ {found.looked}: {said}" if said else f"✓ nothing is violated in {found.looked}"
    try:
        problem = stage.works(under_own_table(stage.name, replace(EMPTY, **rules)))
    except (PyraftError, AssertionError, LookupError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    yield f"✗ your table alone: {problem}" if problem else f"✓ your table alone: {stage.then}"


def entries_of_stages() -> list[Entry]:
    """The rows of the stages in the catalogue."""
    found = [
        Entry(
            exercise=f"build/{one.name}",
            form="build",
            name=one.name,
            chapter=one.chapter,
            points=len(one.rules) + LOOKS + 1,
            title=f"Build Raft: {one.then}",
        )
        for one in STAGES
    ]
    last = Entry(
        exercise=f"build/{SESSIONS}",
        form="build",
        name=SESSIONS,
        chapter=14,
        points=len(sessions_stage.CHECKS),
        title="Build Raft: a command happens once",
    )
    return [*found, last]
