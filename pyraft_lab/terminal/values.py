"""A value as somebody types it: JSON where it is JSON, else a text; nothing that a node or a reader would choke on."""

import json
from typing import Any, NoReturn

import msgspec

from pyraft_lab.terminal import options

DEEPEST = 100
"""Levels of lists and objects in a value: more than anybody types, fewer than any decoder on the way refuses."""


def value_of(text: str) -> Any:
    """JSON if it is JSON, else the text itself: ``3`` is a number, ``three`` a word."""
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
        msgspec.msgpack.encode(found)
        deep = depth(found)
    except RecursionError:
        found, deep = None, DEEPEST + 1
    except (OverflowError, UnicodeEncodeError):
        raise options.Refused(f"{options.shown(text)}: a number or a character there is beyond JSON") from None
    except _NoNumber as wrong:
        raise options.Refused(f"{options.shown(text)}: {wrong}") from None
    except json.JSONDecodeError:
        return text
    except ValueError:  # 1e999, or thousands of digits
        raise options.Refused(f"{options.shown(text)}: a number there is too large") from None
    if deep > DEEPEST:
        raise options.Refused(f"{options.shown(text)} is nested more than {DEEPEST} levels deep")
    return found


class _NoNumber(Exception):
    """JSON knows no such number, though Python reads it."""


def _refuse_constant(name: str) -> NoReturn:
    raise _NoNumber(f"{name} is not a number that JSON knows; in quotes it is a text")


def depth(found: Any) -> int:
    """How many lists and objects are inside each other."""
    match found:
        case dict():
            return 1 + max(map(depth, found.values()), default=0)
        case list():
            return 1 + max(map(depth, found), default=0)
        case _:
            return 0
