"""A typed value: JSON if it is valid JSON, else a text; values that a node or reader cannot handle are refused."""

import json
from typing import Any, NoReturn

import msgspec

from pyraft_lab.terminal import options

DEEPEST = 100
"""The most levels of lists and objects in a value; every decoder on the way accepts that many."""


def value_of(text: str) -> Any:
    """JSON if it is valid JSON, else the text itself: ``3`` is a number, ``three`` a text."""
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
        msgspec.msgpack.encode(found)
        deep = depth(found)
    except RecursionError:
        found, deep = None, DEEPEST + 1
    except (OverflowError, UnicodeEncodeError):
        raise options.Refused(f"{options.shown(text)}: JSON cannot express a number or a character in it") from None
    except _NoNumber as wrong:
        raise options.Refused(f"{options.shown(text)}: {wrong}") from None
    except json.JSONDecodeError:
        return text
    except ValueError:  # 1e999, or thousands of digits
        raise options.Refused(f"{options.shown(text)}: a number in it is too large") from None
    if deep > DEEPEST:
        raise options.Refused(f"{options.shown(text)} is nested more than {DEEPEST} levels deep")
    return found


class _NoNumber(Exception):
    """A number that JSON does not allow, though Python reads it."""


def _refuse_constant(name: str) -> NoReturn:
    raise _NoNumber(f"{name} is not a JSON number; put it in quotes to make it a text")


def depth(found: Any) -> int:
    """The number of nested lists and objects."""
    match found:
        case dict():
            return 1 + max(map(depth, found.values()), default=0)
        case list():
            return 1 + max(map(depth, found), default=0)
        case _:
            return 0
