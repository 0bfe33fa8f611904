"""Numbers for values: small ones in the order of first sight, or fingerprints that every process computes alike."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from enum import Enum
from hashlib import blake2b
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

T = TypeVar("T", bound=Hashable)
V = TypeVar("V")
NARROW, WIDE = 24, 64
"""Bits of a small number, and of a fingerprint."""


class Table(Generic[T]):
    """Numbers values in the order in which they are first seen, from 0."""

    def __init__(self, *first: T) -> None:
        self.values: dict[int, T] = dict(enumerate(first))
        self.numbers: dict[T, int] = {value: number for number, value in enumerate(first)}

    def number(self, value: T) -> int:
        """The number of ``value``, a new one if it has none."""
        number = self.numbers.get(value)
        return self._add(value) if number is None else number

    def _add(self, value: T) -> int:
        number = len(self.values)
        assert number < 1 << NARROW, "a search within bounds has fewer values than a field can hold"
        self.values[number], self.numbers[value] = value, number
        return number


class Fingerprints(Table[T]):
    """Numbers values by their content, so that processes that share nothing agree; ``fresh`` are the newest ones.

    64 bits: among the million values that a large search has, two are alike by chance in one of 40 million searches.
    """

    def __init__(self, *first: T) -> None:
        super().__init__()
        self.fresh: dict[int, T] = {}
        for value in first:
            self.number(value)

    def _add(self, value: T) -> int:
        number = self._fingerprint(value)
        assert number not in self.values, "two values have the same fingerprint"
        self.values[number], self.numbers[value], self.fresh[number] = value, number, value
        return number

    def _fingerprint(self, value: T) -> int:
        return fingerprint(value)

    def take_fresh(self) -> dict[int, T]:
        """The values that were numbered here since the last call."""
        fresh, self.fresh = self.fresh, {}
        return fresh

    def learn(self, values: Mapping[int, T]) -> None:
        """Know values that another process has numbered."""
        for number, value in values.items():
            if number not in self.values:
                self.values[number], self.numbers[value] = value, number


class MultisetTable(Fingerprints[tuple[int, ...]]):
    """The same for multisets of fingerprints: their sum, which is quick to compute."""

    def _fingerprint(self, value: tuple[int, ...]) -> int:
        return sum(value) & (1 << WIDE) - 1


class Memo(dict[int, V]):
    """A function of an integer that is computed once for each."""

    def __init__(self, function: Callable[[int], V]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, key: int) -> V:
        value = self[key] = self.function(key)
        return value


def fingerprint(value: object) -> int:
    """64 bits that depend on the content alone, and on no set's order.

    >>> one, other = frozenset({"a", "b"}), frozenset({"b", "a"})
    >>> fingerprint(one) == fingerprint(other), fingerprint((1, 2)) == fingerprint((2, 1))
    (True, False)
    """
    return int.from_bytes(blake2b(b"".join(_pieces(value)), digest_size=8).digest(), "big")


def _pieces(value: object) -> Iterator[bytes]:
    match value:
        case Enum():
            yield repr(value).encode()
        case Struct():
            yield type(value).__name__.encode()
            yield from _pieces(astuple(value))
        case tuple():
            yield b"("
            for one in value:
                yield from _pieces(one)
            yield b")"
        case frozenset():
            yield b"{"
            yield from sorted(b"".join(_pieces(one)) for one in value)
            yield b"}"
        case dict():
            yield from _pieces(tuple(value.items()))
        case _:
            yield repr(value).encode() + b","
