"""Which rules a run met, and which it did not."""

from pyraft_lab.trace.annotate.table import RULES
from pyraft_lab.trace.coverage import coverage, table
from tests.trace.stage import Stage


def test_an_election_meets_its_rules_and_no_others() -> None:
    stage = Stage()
    stage.fire(1)
    found = coverage(stage.run().records)
    assert found.counts["vote granted"] == 2
    assert stage.records[found.first["elected"]].node == 1
    assert {rule.label for rule in found.met}.isdisjoint({"joint entered", "snapshot installed"})
    assert len(found.met) + len(found.missed) == len(RULES)


def test_two_runs_cover_more_together() -> None:
    one, other = Stage(), Stage()
    one.fire(1)
    other.write(2, 1)
    both = coverage(one.run().records) | coverage(other.run().records)
    assert {"vote granted", "refused: not the leader"} <= {rule.label for rule in both.met}
    assert both.counts["vote granted"] == 2
    assert str(both).startswith(f"{len(both.met)} of {len(RULES)} rules met")


def test_the_table_has_a_row_for_every_rule() -> None:
    rows = table().splitlines()
    assert len(rows) == len(RULES) + 2
    assert "| vote refused: log | §5.4.1 |" in "\n".join(rows)
    assert coverage([])._repr_markdown_().count("\n") > len(RULES)
