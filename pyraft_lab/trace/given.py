"""Checks of arguments for traces and figures, made before any work is done; each raises ``ConfigError``."""

import math
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, TypeVar

from pyraft_lab.errors import ConfigError

T = TypeVar("T")


def seconds(name: str, value: Any) -> None:
    """Check a time: a number of seconds, or ``None``; ``ConfigError`` for anything else.

    >>> seconds("at", "soon")
    Traceback (most recent call last):
    pyraft_lab.errors.ConfigError: at='soon': must be a number of seconds
    """
    if value is not None and (not is_number(value) or not math.isfinite(value)):
        raise ConfigError(name, value, "must be a number of seconds")


def window(start: Any, stop: Any) -> None:
    """Check the two ends of a window in seconds: ``start`` not later than ``stop``; ``None`` for an open end."""
    seconds("start", start)
    seconds("stop", stop)
    if start is not None and stop is not None and start > stop:
        raise ConfigError("start", start, f"must not be later than stop={stop!r}")


def stretch(name: str, value: Any) -> None:
    """Check a duration: a number of seconds above 0."""
    if not is_number(value) or not 0 < value < math.inf:
        raise ConfigError(name, value, "must be a number of seconds above 0")


def whole(name: str, value: Any, least: int) -> None:
    """Check a whole number of at least ``least``, or ``None``."""
    if value is not None and (isinstance(value, bool) or not hasattr(value, "__index__") or value < least):
        raise ConfigError(name, value, f"must be a whole number of at least {least}")


def text(name: str, value: Any) -> None:
    """Check a text, or ``None``."""
    if value is not None and not isinstance(value, str):
        raise ConfigError(name, value, "must be a text")


def name(field: str, value: Any) -> None:
    """Check a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ConfigError(
            field, value, "must be a text, such as mqtt://localhost for a broker, demo for a cluster or a service"
        )


def all_of(name: str, values: Any, kind: type[T]) -> list[T]:
    """Check that all values are of one class, and return them as a list."""
    found = list(values) if isinstance(values, Iterable) else [values]
    wrong = [one for one in found if not isinstance(one, kind)]
    if wrong or not isinstance(values, Iterable):
        raise ConfigError(name, wrong[0] if wrong else values, f"must be nothing but {kind.__name__}s")
    return found


def are_several(values: Any) -> bool:
    """Whether this is a collection with at least one element, and no text."""
    return isinstance(values, Collection) and not isinstance(values, (str, bytes)) and len(values) > 0


def is_number(value: Any) -> bool:
    """Whether this is a number; numbers of numpy are, truth values are not."""
    return not isinstance(value, (bool, str)) and (hasattr(value, "__float__") or hasattr(value, "__index__"))


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
