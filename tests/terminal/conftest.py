"""Commands in processes of their own."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.commands import Start, commands


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts ``pyraft-lab`` commands, and ends those that are left."""
    with commands(stderr=subprocess.PIPE) as begin:
        yield begin
