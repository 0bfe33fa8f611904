"""Open the guide in JupyterLab: quiet, on the first chapter, chapters as notebooks."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
CONFIG = HERE / "config"  # labconfig/ below it: no news, Markdown opens as a notebook
WORKSPACE = "pyraft-lab"  # a layout of its own, without the tabs of other projects

HELP = """usage: pyraft-lab lab [JupyterLab options]

Open the guide in JupyterLab, on its first chapter, and print the address.
The chapters of the current directory are served, or those that came with pyraft_lab.

examples:
  pyraft-lab lab
  pyraft-lab lab --no-browser --port 8899
  pyraft-lab lab --help-all                every option of JupyterLab
"""


def launch(arguments: Sequence[str]) -> int:
    """Serve the guide until it is interrupted; JupyterLab gets all options that `pyraft-lab lab` does not know."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return 0
    from jupyterlab.labapp import LabApp  # the `lab` extra

    use_own_settings()
    LabApp.launch_instance([*options(guide()), *arguments])
    return 0


def use_own_settings() -> None:
    """Lay this project's settings over the user's own for the life of this process; write nothing anywhere."""
    inherited = os.environ.get("JUPYTER_CONFIG_PATH")
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [str(CONFIG), inherited]))


def options(root: Path) -> list[str]:
    """Options for JupyterLab; the user's own options come later and win."""
    return [
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url=/lab/workspaces/{WORKSPACE}/tree/{first_chapter(root)}",
        "--allow-root",  # a learner's container often has no other user
    ]


def guide(here: Path = HERE) -> Path:
    """The directory that holds `chapters/`: the current one, this checkout, or a copy of the chapters in the wheel."""
    for root in (Path.cwd(), here.parents[1]):
        if has_chapters(root):
            return root
    copy = Path.cwd() / "pyraft-lab-guide"  # notebooks are written to, so never in site-packages
    if not copy.exists():
        shutil.copytree(here / "guide", copy)
    return copy


def has_chapters(root: Path) -> bool:
    """Whether the guide's text is below `root`; another project's `chapters/` does not count."""
    return (root / "chapters" / "00-start-here.md").is_file()


def first_chapter(root: Path) -> str:
    """The path, below `root`, of the first chapter."""
    return min((root / "chapters").glob("[0-9]*.md")).relative_to(root).as_posix()
