"""Reference answers: kept outside of the package, and put into blanks only where a test says where they are.

A chapter's answer is blank (``...``). With ``PYRAFT_LAB_ANSWERS`` naming a JSON file of answers by full name, as the
tests of the chapters set it, every blank is filled from there, so that the same cells show the same checks passing.
"""

import json
import os
from functools import lru_cache
from pathlib import Path
from types import EllipsisType
from typing import Any

from pyraft_lab.errors import ConfigError

VARIABLE = "PYRAFT_LAB_ANSWERS"
"""The environment variable that names the file of reference answers."""
Blank = EllipsisType
"""The type of ``...``, which stands for an answer that is not given yet."""


def reference_answer(exercise: str) -> Any:
    """The reference answer to an exercise by its full name; ``None`` if no file of answers is named or has it."""
    place = os.environ.get(VARIABLE, "")
    return _answers(place).get(exercise) if place else None


@lru_cache(maxsize=4)
def _answers(place: str) -> dict[str, Any]:
    try:
        found = json.loads(Path(place).read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise ConfigError(VARIABLE, place, f"must name a JSON file of answers ({wrong})") from wrong
    return dict(found)
