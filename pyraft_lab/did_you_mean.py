"""What was probably meant: a word that nobody knows there, next to those that are known."""

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 100
"""The characters of a word that are compared; the rest of a longer one is ignored."""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """The likeliest of the known words as a question, then all of them.

    >>> did_you_mean("los", ["latency", "loss"])
    'is unknown; did you mean loss? Known are latency, loss'
    >>> did_you_mean("colour", ["latency", "loss"])
    'is unknown; known are latency, loss'
    """
    words = list(known)
    near = get_close_matches(word[:LONGEST], words, n=1) if isinstance(word, str) else []
    return f"is unknown; {f'did you mean {near[0]}? K' if near else 'k'}nown are {', '.join(words)}"
