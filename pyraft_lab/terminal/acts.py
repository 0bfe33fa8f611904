"""What may be asked for by name, with words behind it: how many, how each is read, and what was probably meant."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pyraft_lab.did_you_mean import did_you_mean
from pyraft_lab.errors import PyraftError
from pyraft_lab.terminal import options


class NamedCommand(NamedTuple):
    """One thing to do: how its words are shown, what it is, how each word is read.

    With ``many`` the last word may be repeated; with ``optional`` all words may be left out.
    """

    arguments: str
    about: str
    parsers: tuple[Callable[[str], Any], ...] = ()
    many: bool = False
    optional: bool = False


class BadArguments(PyraftError):
    """An act that nobody knows, or words that it does not take; nothing was done."""


def name_of(known: Mapping[str, NamedCommand], name: str) -> str:
    """``name`` where it is known; ``WrongWords`` says what was probably meant."""
    if name not in known:
        raise BadArguments(f"{options.shown(name)} {did_you_mean(name, known)}")
    return name


def read_arguments(name: str, act: NamedCommand, given: Sequence[str]) -> tuple[Any, ...]:
    """What the act is given, as values; ``WrongWords`` says what it takes."""
    readers = act.parsers + act.parsers[-1:] * (len(given) - len(act.parsers) if act.many else 0)
    if act.optional and not given:
        return ()
    if len(given) != len(readers):
        told = options.shown(" ".join(given)) if given else "nothing"
        raise BadArguments(f"{name} takes {act.arguments or 'no words'}, not {told}")
    try:
        return tuple(read(word) for read, word in zip(readers, given, strict=True))
    except options.Refused as wrong:
        raise BadArguments(f"{name}: {wrong}") from None
