"""What may be asked for by name, with words behind it: how many, how each is read, and what was probably meant."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.mistakes import meant
from pyraft_lab.terminal import words


class Act(NamedTuple):
    """One thing to do: how its words are shown, what it is, how each word is read.

    With ``many`` the last word may be repeated; with ``optional`` all words may be left out.
    """

    takes: str
    about: str
    words: tuple[Callable[[str], Any], ...] = ()
    many: bool = False
    optional: bool = False


class WrongWords(PyraftError):
    """An act that nobody knows, or words that it does not take; nothing was done."""


def name_of(known: Mapping[str, Act], name: str) -> str:
    """``name`` where it is known; ``WrongWords`` says what was probably meant."""
    if name not in known:
        raise WrongWords(f"{words.shown(name)} {meant(name, known)}")
    return name


def read_words(name: str, act: Act, given: Sequence[str]) -> tuple[Any, ...]:
    """What the act is given, as values; ``WrongWords`` says what it takes."""
    readers = act.words + act.words[-1:] * (len(given) - len(act.words) if act.many else 0)
    if act.optional and not given:
        return ()
    if len(given) != len(readers):
        told = words.shown(" ".join(given)) if given else "nothing"
        raise WrongWords(f"{name} takes {act.takes or 'no words'}, not {told}")
    try:
        return tuple(read(word) for read, word in zip(readers, given, strict=True))
    except words.Refused as wrong:
        raise WrongWords(f"{name}: {wrong}") from None
