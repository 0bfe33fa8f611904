"""Tables that grow: one packed buffer a column, with the column's meaning, and without pandas.

A whole number takes eight bytes, a word of a fixed list two. What is missing has a value of its own in each kind of
column (:data:`MISSING`, ``NaN``, ``-1``, ``None``); :meth:`Table.values` gives ``None`` for all of them.
"""

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from itertools import starmap
from struct import pack
from typing import Any, TypeVar

from msgspec import Struct

MISSING = -(2**63)
"""The value of a whole number that is missing."""
FEW = 8
"""Rows that are added one value at a time."""
NEVER = math.nan
"""The time of what has not happened."""


class ColumnKind(Enum):
    """What a column holds; the value is the code of its buffer, ``""`` for a list of texts."""

    WHOLE = "q"
    TIME = "d"
    TRUTH = "b"
    WORD = "h"
    TEXT = ""


class Column(Struct, frozen=True):
    """One column: its name, what it means, what it holds, and every word that may stand in it."""

    name: str
    meaning: str
    kind: ColumnKind = ColumnKind.WHOLE
    words: tuple[str, ...] = ()

    @property
    def codes(self) -> Mapping[str, int]:
        """The number of each word in the packed column."""
        return _codes(self.words)

    def code(self, word: str) -> int:
        """The number of a word in the packed column; ``-1`` for a word that is not in the list."""
        return self.codes.get(word, -1)


Columns = tuple[Column, ...]
Buffer = Any  # array[int] | array[float] | list[str | None]: which one depends on the column
Row = TypeVar("Row", bound=Struct)


@cache
def _codes(words: tuple[str, ...]) -> Mapping[str, int]:
    return {word: number for number, word in enumerate(words)}


class Table:
    """Columns of equal length; rows are added at the end, and single values may change."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.buffers: dict[str, Buffer] = {one.name: _buffer(one.kind) for one in columns}
        self._values: dict[str, list[Any]] = {}

    def __len__(self) -> int:
        return len(self.buffers[self.columns[0].name])

    def add_rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows: one packed value for each column, in order."""
        if len(rows) > FEW:
            self.add_columns(*zip(*rows, strict=True))
            return
        for row in rows:
            for buffer, value in zip(self.buffers.values(), row, strict=True):
                buffer.append(value)

    def add_columns(self, *columns: Sequence[Any]) -> None:
        """Add many rows: for each column, in order, the packed values of all of them."""
        for buffer, values in zip(self.buffers.values(), columns, strict=True):
            if type(buffer) is array:  # it takes packed bytes five times as fast as it takes values one by one
                buffer.frombytes(pack(f"{len(values)}{buffer.typecode}", *values))
            else:
                buffer.extend(values)

    def copy(self) -> "Table":
        """The table as it is now; later rows and changes do not reach it."""
        still = Table(self.columns)
        still.buffers = {name: buffer[:] for name, buffer in self.buffers.items()}
        return still

    def values(self, name: str) -> list[Any]:
        """One column as a list: words as text, ``None`` for what is missing. The list belongs to the table."""
        found = self._values.get(name)
        if found is None or len(found) != len(self):
            found = self._values[name] = _unpacked(self.column(name), self.buffers[name])
        return found

    def rows(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """The rows as tuples of these columns; every column by default."""
        return zip(*(self.values(name) for name in names or self.buffers), strict=True)

    def rows_as(self, kind: type[Row]) -> Iterator[Row]:
        """The rows as values of a class that has a field for each column it needs."""
        return starmap(kind, self.rows(*kind.__struct_fields__))

    def rows_at(self, kind: type[Row], places: Sequence[int]) -> list[Row]:
        """Some rows by their numbers, as :meth:`rows_as`; further fields of the class have their defaults."""
        names = [name for name in kind.__struct_fields__ if name in self.buffers]
        columns = [self.values(name) for name in names] if places else []
        return [kind(*(values[place] for values in columns)) for place in places]

    def places(self, name: str, *words: str) -> list[int]:
        """The numbers of the rows in which a column has one of these words."""
        column = self.column(name)
        codes = {column.code(word) for word in words}
        return [place for place, code in enumerate(self.buffers[name]) if code in codes]

    def column(self, name: str) -> Column:
        """One column's description."""
        return next(one for one in self.columns if one.name == name)


def table(columns: Columns, given: Mapping[str, Sequence[Any]], length: int) -> Table:
    """A table of plain values: ``None`` is what is missing, and so is a column that is not given."""
    made = Table(columns)
    for column in columns:
        values = given.get(column.name, (None,) * length)
        made.buffers[column.name] = _packed(column, values)
    return made


def _buffer(kind: ColumnKind) -> Buffer:
    return array(kind.value) if kind.value else []


def _packed(column: Column, values: Iterable[Any]) -> Buffer:
    match column.kind:
        case ColumnKind.TEXT:
            return [None if value is None else str(value) for value in values]
        case ColumnKind.WORD:
            codes = column.codes  # looked up once: finding the mapping hashes every word of the list
            return array("h", [-1 if value is None else codes.get(str(value), -1) for value in values])
        case ColumnKind.TRUTH:
            return array("b", [-1 if value is None else bool(value) for value in values])
        case ColumnKind.TIME:
            return array("d", [NEVER if value is None else float(value) for value in values])
        case ColumnKind.WHOLE:
            return array("q", [MISSING if value is None else int(value) for value in values])


def _unpacked(column: Column, buffer: Buffer) -> list[Any]:
    match column.kind:
        case ColumnKind.TEXT:
            return list(buffer)
        case ColumnKind.WORD:
            words = (*column.words, None)  # -1 is the last
            return [words[code] for code in buffer]
        case ColumnKind.TRUTH:
            return [None if value < 0 else value == 1 for value in buffer]
        case ColumnKind.TIME:
            return [None if value != value else value for value in buffer]  # noqa: PLR0124 (only NaN is not itself)
        case ColumnKind.WHOLE:
            return [None if value == MISSING else value for value in buffer]
