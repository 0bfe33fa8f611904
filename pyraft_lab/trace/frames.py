"""Tidy pandas frames of a trace: one row for each event, message, changed state, entry, client call and gap.

Times are seconds; what does not apply or has not happened is ``<NA>`` (``NaN`` for times). ``frame.attrs["columns"]``
says what each column means. The types are the same in every run, however few rows there are: whole numbers are
nullable, times are floats, and a few words are categories with a fixed list, so that frames of two runs can be joined.
"""

from collections.abc import Sequence
from typing import Any

from pyraft_lab.extras import needed
from pyraft_lab.trace.columns import MISSING, Column, ColumnKind, Table
from pyraft_lab.trace.record import Record
from pyraft_lab.trace.tables import table_of, with_rules

with needed("pandas"):
    import numpy as np
    import pandas as pd


def frame(table: Table) -> pd.DataFrame:
    """The table as a frame of its own: what is written to it does not change the table."""
    columns = {one.name: _array(one, table.buffers[one.name]) for one in table.columns}
    made = pd.DataFrame(columns, copy=False)
    made.attrs["columns"] = {one.name: one.meaning for one in table.columns}
    return made


def events(records: Sequence[Record]) -> pd.DataFrame:
    """The events frame of some records, outside a trace."""
    return frame(with_rules(table_of("events", records), table_of("rules", records)))


def _array(column: Column, buffer: Any) -> Any:
    match column.kind:
        case ColumnKind.TEXT:
            return pd.array(buffer, dtype="str")
        case ColumnKind.WORD:
            return pd.Categorical.from_codes(_copied(buffer, "int16"), dtype=_dtype(column.words), validate=False)
        case ColumnKind.TRUTH:
            values = _copied(buffer, "int8")
            return pd.arrays.BooleanArray(values == 1, values < 0)
        case ColumnKind.TIME:
            return _copied(buffer, "float64")
        case ColumnKind.WHOLE:
            values = _copied(buffer, "int64")
            is_missing = values == MISSING
            values[is_missing] = 1
            return pd.arrays.IntegerArray(values, is_missing)


def _copied(buffer: Any, dtype: str) -> Any:
    return np.frombuffer(buffer, dtype=dtype).copy() if len(buffer) else np.empty(0, dtype=dtype)


_dtypes: dict[tuple[str, ...], Any] = {}


def _dtype(words: tuple[str, ...]) -> Any:
    """One category type for each list of words."""
    if words not in _dtypes:
        _dtypes[words] = pd.CategoricalDtype(list(words))
    return _dtypes[words]
