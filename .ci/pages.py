"""What the site shows beside the notebooks: README as its home, the pages it links to, and the reference.

The repository has no `docs/`: the site is made of what is there anyway, so a new chapter or module needs no line here.
"""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import nbformat
import plotly
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient

import pyraft_lab
from pyraft_lab.trace.schema import frame_columns

ROOT = Path(__file__).parents[1]
DRAWN = ROOT / ".cache" / "site"  # notebooks whose figures have become HTML
CHAPTER = re.compile(r"\((?:chapters|notebooks)/([\w-]+)\.(?:md|ipynb)\)")
NEIGHBOUR = re.compile(r"\((\d\d-[\w-]+)\.(?:md|ipynb)\)")
LINK = re.compile(r"\((?!https?:)([\w./-]+)\)")
PLOTLY = "assets/plotly.min.js"
ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")
LAB = re.compile(r"^Lab\(", re.MULTILINE)
FIGURE = "application/vnd.plotly.v1+json"
MUTANTS_SAY = (
    "A mutant is a Raft with one mistake. `pyraft-lab check --mutant NAME` finds it and tells the shortest run that"
    " shows it. The table says which seed of the default campaign, and which short search, shows each; seconds are of"
    " one core."
)


def on_config(config: MkDocsConfig) -> None:
    """Lay out the navigation from the files that exist today."""
    config.nav = [
        {"Home": "index.md"},
        {"Guide": [path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]},
        {"Reference": [f"reference/{name}.md" for name in rooms()]},
        {"Architecture": "ARCHITECTURE.md"},
        {"Behaviours": "behaviours.md"},
        {"Measurements": "measurements.md"},
        {"Mutants": "mutants.md"},
        {"Changelog": "CHANGELOG.md"},
    ]


@event_priority(100)  # before mkdocs-jupyter looks for notebooks
def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add README, what it links to, one reference page a room, and the figures of the notebooks."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    home = CHAPTER.sub(r"(\1.ipynb)", readme)
    files.append(File.generated(config, "index.md", content=home))
    files.append(File.generated(config, "behaviours.md", content=behaviours()))
    files.append(File.generated(config, "measurements.md", content=measurements()))
    files.append(File.generated(config, "mutants.md", content=mutants()))
    for name in sorted({"ARCHITECTURE.md", "CHANGELOG.md", *linked(home)}):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for name in rooms():
        files.append(File.generated(config, f"reference/{name}.md", content=reference(name)))
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    files.append(File.generated(config, PLOTLY, abs_src_path=str(script)))
    for name in ("ring.svg", "site.css"):
        files.append(File.generated(config, f"assets/{name}", abs_src_path=str(Path(__file__).with_name(name))))
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        files.src_uris[notebook.name].src_dir = str(draw(notebook).parent)


def linked(text: str) -> Iterator[str]:
    """The files of this repository that a page links to or shows."""
    return (name for name in LINK.findall(text) if (ROOT / name).is_file())


def rooms() -> list[str]:
    """The package itself, then every module and package on its top floor plan."""
    inside = (ROOT / "pyraft_lab").iterdir()
    public = (path for path in inside if path.suffix == ".py" or (path / "__init__.py").is_file())
    return ["pyraft_lab", *sorted(f"pyraft_lab.{path.stem}" for path in public if not path.name.startswith("_"))]


def reference(name: str) -> str:
    """The page of one room: what its modules say about themselves."""
    if name == "pyraft_lab":
        return f"# {name}\n\n::: {name}\n    options:\n      show_submodules: false\n\n{face()}"
    more = f"\n## The columns of each frame\n\n{frame_columns()}" if name == "pyraft_lab.trace" else ""
    return f"# {name}\n\n::: {name}\n    options:\n      show_submodules: true\n{more}"


def face() -> str:
    """Every public name in a line, room by room, with a link to where it is explained."""
    homes: dict[str, str] = vars(pyraft_lab)["_HOME"]
    lines = ["## What `import pyraft_lab` gives you\n"]
    for room, names in groupby(
        sorted(homes, key=lambda name: (room_of(homes[name]), name)), lambda name: room_of(homes[name])
    ):
        lines += [f"\n### {room}\n", "| name | what it is |", "|---|---|"]
        lines += [f"| [`{name}`][{homes[name]}.{name}] | {said(homes[name], name)} |" for name in names]
    return "\n".join(lines) + "\n"


def room_of(module: str) -> str:
    """The room that a module is part of."""
    return ".".join(module.split(".")[:2])


def said(module: str, name: str) -> str:
    """The first line that a name's docstring has; of a constant, of the string below it."""
    value = getattr(import_module(module), name)
    if (inspect.isclass(value) or inspect.isroutine(value)) and value.__module__ == module:
        words = inspect.getdoc(value) or ""
    else:
        body = ast.parse(Path(inspect.getfile(import_module(module))).read_text(encoding="utf-8")).body
        below = (next_one for one, next_one in pairwise(body) if name in targets(one))
        words = next((ast.literal_eval(one.value) for one in below if isinstance(one, ast.Expr)), "")
    line = " ".join(words.split("\n\n")[0].split()).replace("|", "\\|").replace("``", "`")
    return ROLE.sub(r"`\1`", line)


def targets(statement: ast.stmt) -> list[str]:
    """The names that a statement assigns."""
    if isinstance(statement, ast.AnnAssign):
        return [ast.unparse(statement.target)]
    return [ast.unparse(one) for one in statement.targets] if isinstance(statement, ast.Assign) else []


def behaviours() -> str:
    """What a complete Raft must do, and the tests that show it."""
    table = subprocess.run(
        [sys.executable, "-m", "tests.catalogue"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return f"# Behaviours\n\n{table.stdout}"


def measurements() -> str:
    """What the benches measured last: ``python -m tests.bench.report`` measures again."""
    program = "from tests.bench.report import kept, page; print(page(kept()))"
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def mutants() -> str:
    """Every mutant, and whether the default campaign or a short search catches it, and how fast."""
    table = subprocess.run(
        [sys.executable, "-m", "tests.bench.mutants", "--table"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return f"# Mutants\n\n{MUTANTS_SAY}\n\n{table.stdout}"


def draw(path: Path) -> Path:
    """A copy of a notebook with the site's links, in which the page itself draws every figure and plays every Lab."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for place, outputs in play(path):
        notebook["cells"][place]["outputs"] = outputs
    outputs = (output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", ()))
    figures = [data for data in outputs if FIGURE in data]
    for number, data in enumerate(figures):
        data["text/html"] = html(data[FIGURE], number, still="".join(data.get("text/html", "")))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = NEIGHBOUR.sub(r"(../\1/)", "".join(cell["source"]))
    DRAWN.mkdir(parents=True, exist_ok=True)
    copy = DRAWN / path.name
    copy.write_text(json.dumps(notebook), encoding="utf-8")
    return copy


def play(path: Path) -> Iterator[tuple[int, Any]]:
    """The cells of a notebook that show a Lab, with outputs that play: up to the last of them it is run again."""
    notebook = nbformat.read(path, as_version=4)
    labs = [place for place, cell in enumerate(notebook.cells) if LAB.search(cell.source)]
    if labs:
        notebook.cells = notebook.cells[: labs[-1] + 1]
        environment = {**os.environ, "PYRAFT_LAB_TWIN": "player", "PYTHONPATH": str(ROOT)}
        NotebookClient(notebook, kernel_name="python3").execute(env=environment)
    return ((place, notebook.cells[place].outputs) for place in labs)


def html(figure: dict[str, Any], number: int, *, still: str) -> str:
    """One figure, drawn by the script the site brings along (the first one on a page loads it); else its still."""
    loader = f'<script src="../{PLOTLY}"></script>' if number == 0 else ""
    shape = {part: figure[part] for part in ("data", "layout")}
    drawing = plotly.io.to_html(
        shape, include_plotlyjs=False, full_html=False, validate=False, div_id=f"figure-{number}"
    )
    return f"{loader}{drawing}<noscript>{still}</noscript>"
