"""The behaviour table is complete and true: every row has a test, or a reason."""

from tests.catalogue import KNOWN, SECTIONS, covered, missing, table
from tests.not_applicable import NOT_APPLICABLE


def test_tests_and_reasons_name_known_rows_only() -> None:
    assert covered().keys() | NOT_APPLICABLE.keys() <= set(KNOWN)


def test_every_row_has_a_test_or_a_reason() -> None:
    assert missing() == []


def test_nearly_every_row_has_a_test() -> None:
    assert len(covered()) >= 350


def test_a_row_has_a_test_or_a_reason_but_not_both() -> None:
    assert not covered().keys() & NOT_APPLICABLE.keys()


def test_the_table_shows_every_row() -> None:
    text = table()
    assert all(f"| {row} |" in text for row in KNOWN)
    assert all(f"## {title}" in text for title in SECTIONS.values())
