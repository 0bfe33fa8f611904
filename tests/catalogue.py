"""What a complete Raft must do, row by row, and the tests that show it: ``python -m tests.catalogue`` prints the table.

A test names the rows it covers: ``@pytest.mark.row("EL-05", "EL-06")``, on itself or on one of its parameters.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.not_applicable import NOT_APPLICABLE

TESTS = Path(__file__).parent

SECTIONS = {
    "INI": "Starting and initialising",
    "EL": "Leader election",
    "PV": "Pre-vote",
    "CQ": "Check-quorum and leases",
    "LR": "Log replication",
    "FC": "Pipelining and flow control",
    "CR": "Conflicts and repair",
    "CM": "Commit",
    "MB": "Learners and simple changes of membership",
    "JC": "Joint consensus",
    "RL": "Leaders that leave",
    "SN": "Snapshots and compaction",
    "RD": "Linearizable reads",
    "LT": "Leadership transfer",
    "CP": "Crashes and durability",
    "DS": "Disruptive servers",
    "NF": "Network faults",
    "SZ": "Cluster sizes",
    "HL": "Long logs and slow followers",
    "CK": "Clocks",
    "CL": "What clients see",
    "ST": "Storage",
    "FZ": "Soak and exploration",
}

ROWS = {
    "INI": "01 02 03 04 05 06 08 09 10 11 12",
    "EL": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 20 21 22 24 25 26 27 28 29 30",
    "PV": "01 02 03 04 05 06 07 08 09 10 11 13 14 15 16",
    "CQ": "01 02 03 04 05 06 07 08 09 11 12 13 14 15 16 17",
    "LR": "01 02 03 04 05 06 07 08 09 10 11 12 13 15 16 17 19 20 21 22 23",
    "FC": "01 02 03 04 05 06 07 08 10 11 12 13 15 16 17 18 19",
    "CR": "01 02 03 04 05 06 08 09 10 12 13 14 15 16",
    "CM": "01 02 03 04 05 06 07 08 09 11 12 13 14 15 16",
    "MB": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 18 19 20 21",
    "JC": "01 02 03 04 05 06 08 09 10 11 12 13 15 16 17 18 19 20 21 22 23 24",
    "RL": "01 02 03 04 06 07 08 09 10 11 12",
    "SN": "01 02 03 04 05 06 07 09 10 11 12 13 14 16 17 18 19 20 21 23 24 25 26 27 28 29 30 31 32 33 34",
    "RD": "01 02 03 04 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20",
    "LT": "01 02 03 04 05 06 07 08 10 11 12 13 14 15 16 17",
    "CP": "01 02 03 04 05 06 07 08 09 10 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29",
    "DS": "01 02 03 04 05 06 07 08 10 11 12",
    "NF": "01 02 03 04 05 06 07 08 09 10 12 13 14",
    "SZ": "01 02 03 04 05 06 07 08 09 10",
    "HL": "01 02 03 04 05 06 07 08 09 10 11",
    "CK": "01 02 03 04 05 06 07 08 09",
    "CL": "01 02 03 04 05 06 07 08 09 10",
    "ST": "01 02 03 04 05 06 07 08 09 10 11 12 13 14",
    "FZ": "01 02 03 04 05 06 07 08",
}
KNOWN = tuple(f"{section}-{number}" for section, numbers in ROWS.items() for number in numbers.split())


def covered() -> dict[str, list[tuple[str, str]]]:
    """Row to the tests that name it: the test's sentence and its module."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        module = str(path.relative_to(TESTS.parent))
        for function, row in _marks(ast.parse(path.read_text(encoding="utf-8"))):
            test = (function.removeprefix("test_").replace("_", " "), module)
            if test not in found[row]:
                found[row].append(test)
    return dict(found)


def _marks(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every row named in a decorator, with the function it stands on, or the text that its parameter is."""
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in function.decorator_list:
                yield from _rows(decorator, function.name)


def _rows(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    if isinstance(node, ast.Call) and called == "pytest.mark.row":
        yield from ((name, str(ast.literal_eval(argument))) for argument in node.args)
    first = node.args[0] if isinstance(node, ast.Call) and node.args else None
    if called == "pytest.param" and isinstance(first, ast.Constant) and isinstance(first.value, str):
        name = first.value
    for child in ast.iter_child_nodes(node):
        yield from _rows(child, name)


def missing() -> list[str]:
    """Rows that no test names and no reason excuses."""
    done = covered()
    return [row for row in KNOWN if row not in done and row not in NOT_APPLICABLE]


def table() -> str:
    """All rows as Markdown: a heading a section, a line a test."""
    done = covered()
    shown = sum(row in done for row in KNOWN)
    lines = [f"{shown} of {len(KNOWN)} behaviours are tests; {len(NOT_APPLICABLE)} do not apply, with the reason."]
    for section, title in SECTIONS.items():
        lines += ["", f"## {title}", "", "| row | behaviour | test |", "|---|---|---|"]
        for row in (row for row in KNOWN if row.startswith(f"{section}-")):
            tests = done.get(row, [])
            lines += [f"| {row} | {sentence} | `{module}` |" for sentence, module in tests]
            if not tests:
                lines.append(f"| {row} | *{NOT_APPLICABLE.get(row, 'no test yet')}* | |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201
