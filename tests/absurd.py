"""Arguments that make no sense, by what they are given for; tests of every entrance take them from here."""

from typing import Any

NAN, INF = float("nan"), float("inf")
NO_ID: tuple[Any, ...] = ("a", "1", None, -1, 0, 1.5, True, 2**53, 2**63 - 1, 2**63, 2**70, NAN, [1], b"\x01")
NO_TIME: tuple[Any, ...] = ("x", "1", NAN, INF, -INF, -1, True, 1e10, 10**400, [1], 1j)
NO_FLAG: tuple[Any, ...] = ("yes", "", 0, 1, None, [])
NO_INDEX: tuple[Any, ...] = ("x", None, -1, 1.0, True, NAN, 2**53, 2**63, [1])
NO_CHANGE: tuple[Any, ...] = ("12", 5, None, 1.5, {}, {1: 2}, {0}, {-1}, {"a"}, {True}, [1.5], (None,), {2**53}, b"12")
NO_MEMBERS: tuple[Any, ...] = ("12", 5, None, {1: 2}, {0: ""}, {"a": ""}, {0}, {-1}, {"a"}, {True}, [1.5], {2**53})
NO_POLICY: tuple[Any, ...] = ("bogus", "", None, 1, ["index"], b"index")
NO_ADDRESS: tuple[Any, ...] = (None, 5, b"x", [], "\ud800", "x" * 1001)
NO_NUMBER: tuple[Any, ...] = ("x", None, NAN, INF, -1, True, [1])


def nested(levels: int) -> Any:
    """A list in a list in a list; a few thousand of them are more than Python can show or compare."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


DEEP = nested(5_000)
