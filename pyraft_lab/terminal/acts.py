"""Commands chosen by name, with arguments: how many, how each is parsed, and suggestions for misspelled names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pyraft_lab.did_you_mean import did_you_mean
from pyraft_lab.errors import PyraftError
from pyraft_lab.terminal import options


class NamedCommand(NamedTuple):
    """One named command: how its arguments are shown, what it does, and how each argument is parsed.

    With ``many`` the last argument may be repeated; with ``optional`` all arguments may be left out.
    """

    arguments: str
    about: str
    parsers: tuple[Callable[[str], Any], ...] = ()
    many: bool = False
    optional: bool = False


class BadArguments(PyraftError):
    """An unknown command, or arguments that it does not take; nothing was done."""


def name_of(known: Mapping[str, NamedCommand], name: str) -> str:
    """``name``, if it is known; else ``BadArguments`` with the most similar name."""
    if name not in known:
        raise BadArguments(f"{options.shown(name)} {did_you_mean(name, known)}")
    return name


def read_arguments(name: str, act: NamedCommand, given: Sequence[str]) -> tuple[Any, ...]:
    """The parsed arguments of a command; raises ``BadArguments`` with what it takes."""
    readers = act.parsers + act.parsers[-1:] * (len(given) - len(act.parsers) if act.many else 0)
    if act.optional and not given:
        return ()
    if len(given) != len(readers):
        told = options.shown(" ".join(given)) if given else "nothing"
        raise BadArguments(f"{name} takes {act.arguments or 'no arguments'}, not {told}")
    try:
        return tuple(read(word) for read, word in zip(readers, given, strict=True))
    except options.Refused as wrong:
        raise BadArguments(f"{name}: {wrong}") from None
