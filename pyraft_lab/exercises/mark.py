"""The reference engine marks an answer: right or wrong, what Raft does instead, and which rule says so."""

from msgspec import Struct

from pyraft_lab.engine.state import Step
from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises.question import Question
from pyraft_lab.trace.annotate.rule import Rule
from pyraft_lab.trace.annotate.table import rule
from pyraft_lab.trace.sentences import sentence_of


class Mark(Struct, frozen=True, kw_only=True):
    """An answer, and what the reference makes of it; true where it is right.

    ``why`` says what Raft does here and why, ``rule`` is the clause that decides, with its ``label``, its ``section``
    and its own ``source``; ``done`` tells whether the server did what was answered.
    """

    question: Question
    answer: str
    right: bool
    why: str
    rule: Rule
    done: bool

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        expected = " or ".join(sorted(self.question.right))
        head = f"✓ right: {self.answer}" if self.right else f"✗ wrong: {self.answer}; Raft says {expected}"
        lines = [head, f"  {self.why}", f"  rule: {self.rule.label} ({self.rule.section}). {self.rule.meaning}"]
        if not self.right:
            lines.append(f"  {ANSWER_APPLIED if self.done else ANSWER_CORRECTED}")
        return "\n".join(lines)


ANSWER_APPLIED = "Your answer is what was done."
ANSWER_CORRECTED = "What was done is what Raft says."


class UnknownAnswer(PyraftError, ValueError):
    """The question knows no such answer."""

    def __init__(self, answer: str, known: tuple[str, ...]) -> None:
        self.answer, self.known = answer, known
        super().__init__(f"{answer!r} is no answer here; say one of {', '.join(known)}")


def mark(step: Step, question: Question, answer: str | int, *, done: bool = False) -> Mark:
    """Mark an answer to the question of ``step``, which is the step of the reference.

    ``UnknownAnswer`` for a word that is none of the question's choices; a number stands for its word.
    """
    word = str(answer).strip().lower()
    if question.choice(word) is None:
        raise UnknownAnswer(word, question.answers)
    right = word in question.right
    return Mark(
        question=question, answer=word, right=right, why=sentence_of(step), rule=_decisive(step), done=right or done
    )


def _decisive(step: Step) -> Rule:
    """The rule that the answer is about."""
    return rule(step)
