"""What the lesson plan names is there."""

import re
from pathlib import Path

from pyraft_lab.classroom.teacher_commands import COMMANDS as TEACHER
from pyraft_lab.cli import COMMANDS
from pyraft_lab.exercises.forms import entries
from pyraft_lab.exercises.stages import SESSIONS, STAGES

PLAN = (Path(__file__).parents[2] / "TEACHING.md").read_text(encoding="utf-8")


def test_every_exercise_of_the_plan_exists() -> None:
    named = {
        f"{form.replace('prediction', 'predict')}/{name}"
        for form, name in re.findall(r'exercises\.(\w+)\("([\w-]+)"\)', PLAN)
    }
    assert len(named) > 7
    assert named - {one.exercise for one in entries()} == set()


def test_every_command_of_the_plan_exists() -> None:
    assert set(re.findall(r"pyraft-lab (\w+)", PLAN)) - set(COMMANDS) == set()
    assert {"pace", "hand", "partition", "write", "heal", "count"} <= set(TEACHER)


def test_every_stage_is_in_the_course() -> None:
    assert all(f"`{name}`" in PLAN for name in [*(one.name for one in STAGES), SESSIONS])
