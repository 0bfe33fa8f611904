"""Settings of a campaign on the command line: JSON, or a file with it."""

from pathlib import Path

from pyraft_lab.engine.config import Config
from pyraft_lab.sim.workload import Load
from pyraft_lab.terminal import options


def config_or_file(text: str) -> Config:
    """Settings as a JSON object, or the path of a file that holds one."""
    return options.config_over(Config())(_json_or_file(text))


def load_or_file(text: str) -> Load:
    """The load of clients as a JSON object, or the path of a file that holds one."""
    return options.load(_json_or_file(text))


def _json_or_file(text: str) -> str:
    if text.lstrip().startswith("{"):
        return text
    try:
        return Path(text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as wrong:
        raise options.Refused(
            f"{options.shown(text)} is neither a JSON object nor a file with one: {str(wrong)[:200]}"
        ) from None
