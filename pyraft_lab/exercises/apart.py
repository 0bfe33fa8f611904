"""Run a task in a process of its own: whatever a learner's code does, it ends at a limit.

The process gets one line of JSON and answers with one line of JSON; what it prints meanwhile is kept apart. Where there
are no processes (a browser), the task runs here, and the guard's count of instructions is the only limit.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

from pyraft_lab.concurrency import has_processes
from pyraft_lab.errors import PyraftError

LIMIT = 20.0
"""Seconds of real time after which a process is ended; a verdict takes a third of that on a slow machine."""
LONGEST_LINE = 200
"""Characters of a printed line that an error repeats."""
TASKS: Mapping[str, str] = {
    "judge": "pyraft_lab.exercises.rule_exercise:judged",
    "stage": "pyraft_lab.exercises.stages:graded",
    "mark": "pyraft_lab.exercises.notebooks:marked",
}
"""The tasks, as ``module:function``; each takes the request and returns the answer, both plain JSON."""


def run(
    task: str, request: Mapping[str, Any], *, here: Callable[[], Mapping[str, Any]], limit: float = LIMIT
) -> Mapping[str, Any]:
    """The answer of a task; ``{"ended": why}`` if its process gave none within ``limit`` seconds of real time.

    ``here`` does the same in this process, for places without processes.
    """
    if not has_processes():
        return here()
    import subprocess

    line = json.dumps({"task": task, "request": request})
    path = os.pathsep.join(part for part in sys.path if part)
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from pyraft_lab.exercises import apart; apart.main()"],
            input=line.encode(),
            capture_output=True,
            timeout=limit,
            env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"ended": f"it had not ended after {limit:g} seconds; is there an endless loop?"}
    except OSError:
        return here()
    return answer_of(done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"), done.returncode)


def answer_of(written: str, printed: str, code: int) -> Mapping[str, Any]:
    """The answer that a process wrote; if it wrote no JSON object, why there is none, with its last printed line."""
    try:
        found = json.loads(written)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        last = printed.strip().splitlines()[-1:] or ["it said nothing"]
        return {"ended": f"its process ended without an answer, with exit code {code}: {last[0][:LONGEST_LINE]}"}
    return found


def main() -> None:
    """Answer the request on standard input; what the task prints goes to standard error."""
    asked = json.loads(sys.stdin.readline())
    own = os.dup(1)
    os.dup2(2, 1)  # whatever else is written to standard output, by number too, is no answer
    with redirect_stdout(sys.stderr):
        answer = perform(asked["task"], asked["request"])
    with os.fdopen(own, "w", encoding="utf-8") as written:
        written.write(json.dumps(answer))


def perform(task: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run a task in this process, by its name; raises ``PyraftError`` for an unknown one."""
    if task not in TASKS:
        raise PyraftError(f"{task!r} is not a task; tasks are {', '.join(TASKS)}")
    module, function = TASKS[task].split(":")
    found: Mapping[str, Any] = vars(import_module(module))[function](request)
    return found
