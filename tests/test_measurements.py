"""The page of measurements: made of what was kept, with every table that other benches add."""

import json
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.report import Results, added, page

KEPT = Results(date="2026-01-02", cores=4, python="3.11.7", tables={"simulator: an event": {"recorded": 40.0}})


def test_the_page_says_when_and_on_what_it_was_measured() -> None:
    text = page(KEPT)
    assert "2026-01-02" in text
    assert "4 cores" in text
    assert "| recorded | 40.00 |" in text


def test_rows_of_other_benches_join_the_page(tmp_path: Path) -> None:
    flat, titled = tmp_path / "clients.json", tmp_path / "others.json"
    flat.write_text(json.dumps({"one, p50 ms": 0.75}), encoding="utf-8")
    titled.write_text(json.dumps({"frames": {"rows": 3}}), encoding="utf-8")
    tables = added(KEPT, [flat, titled]).tables
    assert list(tables) == ["simulator: an event", "clients", "frames"]
    assert tables["clients"] == {"one, p50 ms": 0.75}


def test_what_is_kept_can_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert report.kept().tables
    monkeypatch.setattr(report, "RESULTS", tmp_path / "none.json")
    with pytest.raises(FileNotFoundError):
        report.kept()
