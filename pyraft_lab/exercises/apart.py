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
            [sys.executable, "-m", "pyraft_lab.exercises.apart"],
            input=line,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=limit,
            env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"ended": f"it had not ended after {limit:g} seconds; is there an endless loop?"}
    except OSError:
        return here()
    return answer_of(done.stdout, done.stderr)


def answer_of(written: str, printed: str) -> Mapping[str, Any]:
    """The answer that a process wrote; why there is none, with the last line that it printed, if it wrote no JSON."""
    try:
        found: dict[str, Any] = json.loads(written)
    except ValueError:
        last = printed.strip().splitlines()[-1:] or ["it said nothing"]
        return {"ended": f"its process ended without an answer: {last[0]}"}
    return found


def main() -> None:
    """Answer the request on standard input; what the task prints goes to standard error."""
    asked = json.loads(sys.stdin.readline())
    with redirect_stdout(sys.stderr):
        answer = perform(asked["task"], asked["request"])
    sys.stdout.write(json.dumps(answer))


def perform(task: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do a task here; raises ``PyraftError`` for an unknown one."""
    if task not in TASKS:
        raise PyraftError(f"{task!r} is not a task; tasks are {', '.join(TASKS)}")
    module, function = TASKS[task].split(":")
    found: Mapping[str, Any] = vars(import_module(module))[function](request)
    return found


if __name__ == "__main__":
    main()
