"""Which clauses of Raft a run used, how often and when first; and which it never used."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from pyraft_lab.trace.annotate.rule import Rule
from pyraft_lab.trace.annotate.table import LABELS, RULES, remarks
from pyraft_lab.trace.record import EventId, Record


class Coverage(Struct, frozen=True):
    """How often each rule played a part in a step (``counts``), and in which record first (``first``)."""

    counts: Mapping[str, int]
    first: Mapping[str, EventId]

    @property
    def rows(self) -> tuple[Rule, ...]:
        """The rows of the table: the rules of Raft, then the rules that the runs used in their place."""
        swapped = (rule for label, rule in LABELS.items() if label not in RULES and self.counts[label])
        return (*RULES.values(), *swapped)

    @property
    def met(self) -> tuple[Rule, ...]:
        """The rules that played a part, in the table's order."""
        return tuple(rule for rule in RULES.values() if self.counts[rule.label])

    @property
    def missed(self) -> tuple[Rule, ...]:
        """The rules that never played a part."""
        return tuple(rule for rule in RULES.values() if not self.counts[rule.label])

    def __or__(self, other: "Coverage") -> "Coverage":
        """Two runs together; a rule's first record is the left run's, else the right run's."""
        counts = {label: self.counts[label] + other.counts[label] for label in LABELS}
        return Coverage(counts, {**other.first, **self.first})

    def __str__(self) -> str:
        lines = [f"{len(self.met)} of {len(RULES)} rules met"]
        lines += [
            f"{self.counts[rule.label] or '-':>8}  {rule.label}{f' ({rule.section})' if rule.section else ''}"
            for rule in self.rows
        ]
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        rows = (f"| {self.counts[rule.label] or ''} {_row(rule)}" for rule in self.rows)
        return "\n".join(
            (f"**{len(self.met)} of {len(RULES)} rules met**", "", "| times " + _HEAD, "|---:" + _LINE, *rows)
        )


def coverage(records: Iterable[Record]) -> Coverage:
    """Count the rules that played a part in these records."""
    counts, first = dict.fromkeys(LABELS, 0), dict[str, EventId]()
    for record in records:
        for remark in remarks(record.step) if record.step is not None else ():
            counts[remark.rule.label] += 1
            first.setdefault(remark.rule.label, record.id)
    return Coverage(counts, first)


def table(rules: Sequence[Rule] = tuple(RULES.values())) -> str:
    """The rules as a Markdown table: label, section, meaning and deciding function."""
    return "\n".join((_HEAD, _LINE, *map(_row, rules)))


_HEAD = "| rule | section | what it says | decided by |"
_LINE = "|---|---|---|---|"


def _row(rule: Rule) -> str:
    return f"| {rule.label} | {rule.section} | {rule.meaning} | `{rule.decided_by}` |"
