"""What the site shows beside the notebooks: README as its home, the pages it links to, and the reference.

The repository has no `docs/`: the site is made of what is there anyway, so a new chapter or module needs no line here.
"""

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import plotly
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbclient import NotebookClient

import pyraft_lab
from pyraft_lab.lab.page import STATIC, player
from pyraft_lab.lab.picture import session
from pyraft_lab.trace.schema import frame_columns

ROOT = Path(__file__).parents[1]
LITE = ROOT / "site-lite"
DRAWN = ROOT / ".cache" / "site"  # notebooks whose figures have become HTML
CHAPTER = re.compile(r"\((?:chapters|notebooks)/([\w-]+)\.(?:md|ipynb)\)")
NEIGHBOUR = re.compile(r"\((\d\d-[\w-]+)\.(?:md|ipynb)\)")
LINK = re.compile(r"\((?!https?:)([\w./-]+)\)")
BINDER = re.compile(r"^\[binder\]: (https://\S+/chapters/)\S+$", re.MULTILINE)
PAGES = ("ARCHITECTURE.md", "CHANGELOG.md", "TEACHING.md", "WHERE_IT_RUNS.md")
PICTURE = re.compile(r'<img [^>]*src="chapters/images/lab\.svg"[^>]*>')
LIVE = (
    '<p><button id="live-start" class="md-button" hidden>Run it live in this page</button></p>'
    '<script type="module" src="assets/live-lab.js"></script>'
)
"""The button that loads Python into the home page; without scripts it stays hidden."""
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
        {"Guide": [f"{name}.ipynb" for name in chapters()]},
        {"Teaching": "TEACHING.md"},
        {"Reference": [chapter_of(room) for room in rooms()]},
        {"Architecture": "ARCHITECTURE.md"},
        {"Where it runs": "WHERE_IT_RUNS.md"},
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
    for name in sorted({*PAGES, *linked(home)}):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for room in rooms():
        files.append(File.generated(config, f"reference/{room}.md", content=reference(room)))
        for name in modules(room):
            files.append(File.generated(config, f"reference/{name}.md", content=reference(name)))
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    files.append(File.generated(config, PLOTLY, abs_src_path=str(script)))
    assets = [Path(__file__).with_name(name) for name in ("ring.svg", "site.css")]
    if has_lite():
        assets += [Path(__file__).with_name(name) for name in ("live-lab.js", "live-worker.js")]
        assets += [STATIC / "lab.js", STATIC / "lab.css"]
    for path in assets:
        files.append(File.generated(config, f"assets/{path.name}", abs_src_path=str(path)))
    for name in chapters():
        drawn = draw(name)
        if drawn.name not in files.src_uris:
            files.append(File(drawn.name, str(drawn.parent), config.site_dir, config.use_directory_urls))
        files.src_uris[drawn.name].src_dir = str(drawn.parent)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """On the home page the Lab plays where README has its picture."""
    return PICTURE.sub(lambda found: moving(found[0]), html) if page.file.src_uri == "index.md" else html


def moving(picture: str) -> str:
    """The run of README's picture as a Lab, which plays until the entry on its way is committed.

    The picture itself is for readers without scripts. With the JupyterLite site beside it, a click runs it live.
    """
    played = player(session(), picture)
    return f'<div id="live-lab">{played}</div>{LIVE}' if has_lite() else played


def on_post_build(config: MkDocsConfig) -> None:
    """Put the JupyterLite site, if there is one, below this one."""
    if has_lite():
        shutil.copytree(LITE, Path(config.site_dir) / "lite", dirs_exist_ok=True)


def chapters() -> list[str]:
    """The names of all chapters."""
    return sorted(path.stem for path in (ROOT / "chapters").glob("[0-9]*.md"))


def has_lite() -> bool:
    """Whether `make lite` has built the site on which chapters run in the reader's browser."""
    return (LITE / "lab" / "index.html").is_file()


def linked(text: str) -> Iterator[str]:
    """The files of this repository that a page links to or shows."""
    return (name for name in LINK.findall(text) if (ROOT / name).is_file())


def rooms() -> list[str]:
    """The package itself, then every module and package on its top floor plan."""
    inside = (ROOT / "pyraft_lab").iterdir()
    public = (path for path in inside if path.suffix == ".py" or (path / "__init__.py").is_file())
    return ["pyraft_lab", *sorted(f"pyraft_lab.{path.stem}" for path in public if not path.name.startswith("_"))]


def modules(room: str) -> list[str]:
    """The public modules inside a room, by their whole names; each has a page of its own."""
    inside = (ROOT / room.replace(".", "/")).rglob("*.py") if room != "pyraft_lab" else ()
    parts = (path.relative_to(ROOT).with_suffix("").parts for path in inside)
    public = {".".join(part for part in names if part != "__init__") for names in map(tuple, parts) if is_public(names)}
    return sorted(public - {room})


def is_public(names: Sequence[str]) -> bool:
    """Whether no part of a module's name begins with an underscore; a package's own file aside."""
    return not any(name.startswith("_") for name in names if name != "__init__")


def chapter_of(room: str) -> Any:
    """A room in the navigation: its page, and below it those of its modules."""
    pages = [{name: f"reference/{name}.md"} for name in (room, *modules(room))]
    return {room: pages} if len(pages) > 1 else pages[0]


def reference(name: str) -> str:
    """The page of one module: its public names; of a room also the list of its modules."""
    page = f"::: {name}\n\n"  # its heading is the page's, and what other pages link to
    if name == "pyraft_lab":
        return page + face()
    columns = f"\n## The columns of each frame\n\n{frame_columns()}" if name == "pyraft_lab.trace" else ""
    return page + (contents(name) if name in rooms() else "") + columns


def contents(room: str) -> str:
    """The modules of a room, each with the first line of what it says."""
    lines = [f"| [`{name}`]({name}.md) | {first_line(module_words(name))} |" for name in modules(room)]
    return "\n".join(["## Modules\n", "| module | what it holds |", "|---|---|", *lines, ""]) if lines else ""


def module_words(name: str) -> str:
    """The docstring of a module, read and not run."""
    path = ROOT / name.replace(".", "/")
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""


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
    return first_line(words)


def first_line(words: str) -> str:
    """The first paragraph of a docstring as a cell of a table."""
    line = " ".join(words.split("\n\n", maxsplit=1)[0].split()).replace("|", "\\|").replace("``", "`")
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


def draw(name: str) -> Path:
    """A chapter with the site's links, in which the page itself draws every figure and plays every Lab.

    A chapter that was not executed yet has no outputs.
    """
    path = ROOT / "notebooks" / f"{name}.ipynb"
    if path.is_file():
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for place, outputs in play(path):
            notebook["cells"][place]["outputs"] = outputs
    else:
        notebook = json.loads(jupytext.writes(jupytext.read(ROOT / "chapters" / f"{name}.md"), fmt="ipynb"))
    outputs = (output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", ()))
    figures = [data for data in outputs if FIGURE in data]
    for number, data in enumerate(figures):
        data["text/html"] = html(data[FIGURE], number, still="".join(data.get("text/html", "")))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = NEIGHBOUR.sub(r"(../\1/)", "".join(cell["source"]))
    notebook["cells"].insert(1, nbformat.v4.new_markdown_cell(launchers(name)))
    DRAWN.mkdir(parents=True, exist_ok=True)
    copy = DRAWN / path.name
    copy.write_text(json.dumps(notebook), encoding="utf-8")
    return copy


def launchers(name: str) -> str:
    """The places where a reader can run a chapter; README alone knows the address of Binder."""
    found = BINDER.search((ROOT / "README.md").read_text(encoding="utf-8"))
    here = [f"[Run it here, in this browser](../lite/lab/index.html?path={name}.ipynb)"] if has_lite() else []
    there = [f"[![Run it in Binder](../binder/badge.svg)]({found[1]}{name}.md)"] if found else []
    return " ".join(here + there)


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
