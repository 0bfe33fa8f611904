"""Mark an answer with the reference engine: right or wrong, what Raft does, and which rule decides."""

from msgspec import Struct

from pyraft_lab.engine.state import Step
from pyraft_lab.errors import PyraftError, shown
from pyraft_lab.exercises.question import Question
from pyraft_lab.trace.annotate.rule import Rule
from pyraft_lab.trace.annotate.table import rule
from pyraft_lab.trace.sentences import sentence_of


class Mark(Struct, frozen=True, kw_only=True):
    """An answer and its mark; true if the answer is right.

    ``why`` says what Raft does here and why, ``rule`` is the rule that decides, with its ``label``, its ``section`` and
    its ``source``; ``done`` says whether the server did what you answered.
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


class Unanswered(Struct, frozen=True, kw_only=True):
    """A question that was passed over with ``...``: nothing is marked, and nothing is given away."""

    question: Question

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return (
            f"○ not answered: replace ... by one of {', '.join(self.question.answers)}, in quotes, and run this "
            f"section again from its first cell.\n  {ANSWER_CORRECTED}"
        )


ANSWER_APPLIED = "Your server did what you answered."
ANSWER_CORRECTED = "Your server did what Raft says."


class UnknownAnswer(PyraftError, ValueError):
    """The answer is not one of the question's choices."""

    def __init__(self, answer: str, known: tuple[str, ...]) -> None:
        self.answer, self.known = answer, known
        super().__init__(f"{shown(answer)} is not a valid answer; choose one of {', '.join(known)}")


def mark(step: Step, question: Question, answer: str | int, *, done: bool = False) -> Mark:
    """Mark an answer to the question of ``step``, which is the step of the reference engine.

    A number counts as its text. ``UnknownAnswer`` if the answer is not one of the question's choices.
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
