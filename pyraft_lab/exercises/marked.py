"""A marked answer: what was said, what happened, which rule decides; and the answer itself, for those who marks again.

A notebook keeps the answer beside the text (as ``ANSWER`` data of the output), and ``pyraft-lab grade`` marks that
answer once more. The printed score is never read.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from msgspec import Struct

from pyraft_lab.trace.printed import lines_as_html

ANSWER = "application/vnd.pyraft-lab.answer+json"
"""The MIME type under which a notebook's output keeps an answer: ``{"exercise": ..., "answer": ...}``."""


class Marked(Struct, frozen=True, kw_only=True):
    """An answer and its mark; true if it has every point.

    ``exercise`` is the full name (``quiz/half-of-four``), ``answer`` plain JSON (``None``: not answered yet), ``text``
    the feedback, ``picture`` HTML with a static picture, empty if there is none.
    """

    exercise: str
    score: int
    out_of: int
    text: str
    answer: Any = None
    picture: str = ""

    def __bool__(self) -> bool:
        return self.score == self.out_of

    def __str__(self) -> str:
        return self.text if self.answer is None else f"{self.text}\n{points(self.score, self.out_of)}"

    __repr__ = __str__

    def _repr_mimebundle_(self, *_: object, **__: object) -> Mapping[str, Any]:
        """Text, HTML with the picture, and the answer for ``pyraft-lab grade``."""
        kept = {} if self.answer is None else {ANSWER: {"exercise": self.exercise, "answer": self.answer}}
        return {**as_page(str(self), self.picture), **kept}


def points(score: int, out_of: int) -> str:
    """A score in words.

    >>> points(1, 1), points(2, 3)
    ('1 of 1 point', '2 of 3 points')
    """
    return f"{score} of {out_of} point{'s' if out_of > 1 else ''}"


HEAD = "font-weight:600;margin-bottom:4px"


def as_page(text: str, picture: str = "") -> dict[str, Any]:
    """A text as the alternatives of an output: as it is, and as HTML."""
    return {"text/plain": text, "text/html": page(text, picture)}


def page(text: str, picture: str = "") -> str:
    """A text as HTML, its first line as a heading, with its picture below."""
    head, _, rest = text.partition("\n")
    below = lines_as_html(rest) if rest else ""
    return f'<div style="{HEAD}">{escape(head)}</div>{below}{picture}'
