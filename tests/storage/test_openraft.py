"""The suite asks for all that openraft's asks for: every case has a promise, a test elsewhere, or a reason."""

import ast
from pathlib import Path

import pytest

from pyraft_lab.storage.conformance import CASES, name_of
from tests.storage.openraft import ROWS, Row

HOME = Path(__file__).parents[2]
PROMISES = {name_of(case).replace("_", " ") for case in CASES}


def test_the_table_has_all_forty_five_cases_once() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) == 45


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.name))
def test_a_case_is_promised_or_tested_or_does_not_apply(row: Row) -> None:
    assert sum(map(bool, (row.promises, row.tests, row.reason))) == 1
    assert set(row.promises) <= PROMISES
    for test in row.tests:
        path, _, function = test.partition("::")
        assert function in functions_of(HOME / path)


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
