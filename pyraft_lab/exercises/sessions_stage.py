"""The last stage of Build Raft: a command is carried out once, however often it is sent (dissertation §6.3)."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, cast

from msgspec.structs import replace

from pyraft_lab.check.failure import failure
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.command import Batch, Sealed
from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises.guard import limited
from pyraft_lab.exercises.own_code import function_from
from pyraft_lab.immutable_map import ImmutableMap
from pyraft_lab.machine import Answer, KeyValue, Sessions, StateMachine
from pyraft_lab.session import Session

NAME = "apply_once"
SKELETON = '''def apply_once(answers, serial, run):
    """The answer to a client's command; ``answers`` is the dict of answers kept for this client, by serial."""
    return run()  # and if this serial was carried out before?'''
HINTS = (
    "A retry has the same serial as the first request.",
    "Keep the answer under its serial before you return it; look there first.",
)
ApplyOnce = Callable[[dict[int, Any], int, Callable[[], Any]], Any]


class OwnSessions(Sessions):
    """Sessions whose every command goes through a learner's function."""

    apply_once: ApplyOnce

    def _answer(self, session: Session, sealed: Sealed) -> tuple[Answer, Session]:
        command = sealed.command
        run = (lambda: self._run_all(command)) if type(sealed) is Batch else (lambda: self._run(command))
        kept = dict(session.acknowledge(sealed.done).answers)
        answer: Answer = type(self).apply_once(kept, sealed.serial, run)
        return answer, replace(session, done=max(session.done, sealed.done), answers=ImmutableMap.of(kept))


def sessions_with(function: ApplyOnce) -> Callable[[], StateMachine]:
    """A maker of key-value machines with the learner's sessions."""

    class Made(OwnSessions):
        apply_once = staticmethod(function)

    return lambda: cast("StateMachine", Made(KeyValue()))


def apply_once_from(source: str) -> ApplyOnce:
    """The guarded function in a source; raises ``NoRule`` or ``RuleFailed``."""
    function = function_from(NAME, source, {}, 3)
    return lambda *arguments: limited(NAME, function, *arguments)


def checks(source: str) -> Iterator[tuple[str, str]]:
    """Each check in words, and what is wrong; empty if it passes."""
    function = apply_once_from(source)
    for words, check in CHECKS.items():
        try:
            yield words, check(function)
        except PyraftError as wrong:
            yield words, str(wrong)


def _repeats(function: ApplyOnce) -> str:
    runs = count(1)
    kept: dict[int, Any] = {}
    first, second = (function(kept, 4, lambda: next(runs)) for _ in range(2))
    ran = next(runs) - 1
    if ran != 1:
        return f"serial 4 was sent twice and carried out {ran} times"
    return "" if first == second == 1 else f"the first answer was {first!r}, the answer to the retry {second!r}"


def _goes_on(function: ApplyOnce) -> str:
    kept: dict[int, Any] = {}
    answers = [function(kept, serial, lambda at=serial: f"answer {at}") for serial in (1, 2, 1)]  # type: ignore[misc]
    wanted = ["answer 1", "answer 2", "answer 1"]
    return "" if answers == wanted else f"serials 1, 2 and 1 were answered {answers}, not {wanted}"


def _in_a_cluster(function: ApplyOnce) -> str:
    mutant = MUTANTS["forgets-sessions"]
    for seed in (mutant.seed, 1, 2):
        found = failure(replace(mutant, machine=sessions_with(function)).attempt(seed))
        if found is not None:
            return f"with retries, seed {seed}: {str(found).splitlines()[0]}"
    return ""


CHECKS: Mapping[str, Callable[[ApplyOnce], str]] = {
    "a command that is sent twice is carried out once": _repeats,
    "every serial has its own answer": _goes_on,
    "clients that retry see a linearizable history": _in_a_cluster,
}
"""What the function must do."""
