"""Checks of arguments for traces and figures, made before any work is done; each raises ``ConfigError``."""

import math
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pyraft_lab import arguments
from pyraft_lab.errors import ConfigError, shown

T = TypeVar("T")
LATEST = sys.float_info.max
"""The latest time that a number can hold."""


def seconds(name: str, value: Any) -> None:
    """Check a time: a number of seconds, or ``None``; ``ConfigError`` for anything else.

    >>> seconds("at", "soon")
    Traceback (most recent call last):
    pyraft_lab.errors.ConfigError: at='soon': must be a number of seconds
    """
    if value is not None and (not is_number(value) or not -LATEST <= value <= LATEST):
        raise ConfigError(name, value, "must be a number of seconds")


def window(start: Any, stop: Any) -> None:
    """Check the two ends of a window in seconds: ``start`` not later than ``stop``; ``None`` for an open end."""
    seconds("start", start)
    seconds("stop", stop)
    if start is not None and stop is not None and start > stop:
        raise ConfigError("start", start, f"must not be later than stop={shown(stop)}")


def stretch(name: str, value: Any) -> None:
    """Check a duration: a number of seconds above 0."""
    if not is_number(value) or not 0 < value < math.inf:
        raise ConfigError(name, value, "must be a number of seconds above 0")


def whole(name: str, value: Any, least: int) -> None:
    """Check a whole number of at least ``least``, or ``None``."""
    if value is not None:
        arguments.integer(name, value, least)


def text(name: str, value: Any) -> None:
    """Check a text, or ``None``."""
    if value is not None:
        arguments.text(name, value)


def name(field: str, value: Any) -> None:
    """Check a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ConfigError(field, value, "must be a text that is not empty")


def counts(name: str, value: Any) -> None:
    """Check a table of counts: a whole number for each text."""
    if not isinstance(value, Mapping):
        raise ConfigError(name, value, "must map texts to counts, such as {'n1': 3}")
    for word, count in value.items():
        arguments.text(name, word)
        arguments.integer(f"{name}[{shown(word)}]", count)


def all_of(name: str, values: Any, kind: type[T]) -> list[T]:
    """Check that all values are of one class, and return them as a list."""
    found: list[T] = []
    for one in values if isinstance(values, Iterable) else [values]:
        if not isinstance(one, kind) or one is values:
            raise ConfigError(name, one, f"must be nothing but {kind.__name__}s")
        found.append(one)
    return found


def are_several(values: Any) -> bool:
    """Whether this is a collection with at least one element, and no text."""
    return isinstance(values, Collection) and not isinstance(values, (str, bytes)) and len(values) > 0


def is_number(value: Any) -> bool:
    """Whether this is a number; numbers of numpy are, truth values are not."""
    if isinstance(value, (bool, str, type)):
        return False
    return hasattr(value, "__float__") or hasattr(value, "__index__")


def file_to_read(path: Any) -> Path:
    """The path of a file that exists."""
    found = path_of(path)
    if not found.is_file():
        raise ConfigError("path", str(found), "is a directory" if found.is_dir() else "there is no such file")
    return found


def file_to_write(path: Any) -> Path:
    """The path of a file to write, in a directory that exists."""
    found = path_of(path)
    if found.is_dir():
        raise ConfigError("path", str(found), "is a directory: name a file in it")
    if not found.parent.is_dir():
        raise ConfigError("path", str(found), f"there is no directory {found.parent}: make it first")
    return found


def path_of(path: Any) -> Path:
    """A path, whether or not it exists."""
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigError("path", path, "must be the path of a file")
    return Path(path)


def part_of(path: Path) -> Path:
    """The file beside ``path`` in which it is written before it takes its place."""
    return path.with_name(path.name + ".part")


def check_writable(path: Path) -> None:
    """Raise ``ConfigError`` if a new file cannot be written, by trying: nothing else is reliable."""
    try:
        path.open("ab").close()
        path.unlink()
    except (OSError, ValueError) as wrong:
        why = getattr(wrong, "strerror", "") or str(wrong)
        raise ConfigError("path", str(path), f"cannot be written: {why}; use another one") from wrong
