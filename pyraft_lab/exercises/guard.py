"""A learner's function under guard: it ends at a limit, its errors name it, and its answers have the right type.

::

    rules.vote_refusal(state, request)
      └▶ Guarded ──▶ the learner's function, its instructions counted ──▶ answer, checked
                          │ more than MOST_INSTRUCTIONS instructions, or an exception
                          └▶ RuleFailed

Counting instructions (``sys.settrace``) needs neither processes nor signals, so it works in a browser too, and a loop
ends at the same point on every machine. It sees the learner's own code only; a call that never returns from C is ended
by :mod:`pyraft_lab.exercises.apart`.
"""

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from msgspec import Struct

from pyraft_lab.errors import PyraftError

MOST_INSTRUCTIONS = 200_000
"""Instructions of Python (bytecode) that one answer of a rule may execute."""


class RuleFailed(PyraftError):
    """A learner's rule gave no answer: it raised, never ended, or answered with the wrong type."""

    def __init__(self, rule: str, why: str) -> None:
        self.rule, self.why = rule, why
        super().__init__(f"{rule} gave no answer: {why}")


class TooLong(BaseException):
    """The limit of instructions is reached; no ``except Exception`` of the learner's catches this."""


class Guarded(Struct, frozen=True):
    """A learner's function in place of the rule ``name``; ``check`` says what is wrong with an answer, or nothing."""

    name: str
    function: Callable[..., Any]
    check: Callable[[Any], str]

    @property
    def __name__(self) -> str:
        return getattr(self.function, "__name__", self.name)

    def __call__(self, *arguments: Any) -> Any:
        """The function's answer; raises :class:`RuleFailed` if it gives none."""
        answer = limited(self.name, self.function, *arguments)
        wrong = self.check(answer)
        if wrong:
            raise RuleFailed(self.name, wrong)
        return answer


def limited(name: str, function: Callable[..., Any], *arguments: Any, file: str = "") -> Any:
    """Call a function, and end it after ``MOST_INSTRUCTIONS``; raises :class:`RuleFailed` if it gives no answer.

    Instructions of ``file`` count: without it, of the file that the function is in.
    """
    counter, before = InstructionCounter(file or _file_of(function)), sys.gettrace()
    sys.settrace(counter.on_call)
    try:
        return function(*arguments)
    except TooLong:
        raise RuleFailed(
            name, f"it ran {MOST_INSTRUCTIONS:,} instructions and had not ended; is there an endless loop?"
        ) from None
    except (Exception, SystemExit) as error:
        sys.settrace(before)
        raise RuleFailed(name, describe(error, counter.file)) from error
    finally:
        sys.settrace(before)


class InstructionCounter:
    """Counts the instructions that run in one file: that of the learner's code."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.left = MOST_INSTRUCTIONS

    def on_call(self, frame: FrameType, _event: str, _value: object) -> Any:
        """A function begins: follow it if it is the learner's."""
        if frame.f_code.co_filename != self.file:
            return None
        frame.f_trace_opcodes = True  # lines count as well: from Python 3.12, the first call may report nothing else
        return self.on_instruction

    def on_instruction(self, _frame: FrameType, _event: str, _value: object) -> Any:
        """One more instruction or line, or the end of a function."""
        self.left -= 1
        if self.left < 0:
            raise TooLong
        return self.on_instruction


def describe(error: BaseException, file: str) -> str:
    """An exception in words, with the line of the learner's code that raised it."""
    line, place = 0, error.__traceback__
    while place is not None:
        line = place.tb_lineno if place.tb_frame.f_code.co_filename == file else line
        place = place.tb_next
    where = f"line {line} " if line else "it "
    return f"{where}raised {type(error).__name__}: {error}"


def _file_of(function: Any) -> str:
    code = getattr(function, "__code__", None)
    return code.co_filename if isinstance(code, CodeType) else ""
