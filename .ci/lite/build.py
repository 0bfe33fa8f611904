"""Build the JupyterLite site: `make lite`, into site-lite/.

npm and PyPI ship all of it: Pyodide's core, the wheels of `wheels.txt`, JupyterLite itself. They are fetched once into
.cache/lite. pandas, numpy and pyarrow are compiled for the browser by Pyodide alone: the site's lock names them at
Pyodide's own address on the web, and a reader's browser fetches them when a cell first needs a frame.

    python .ci/lite/build.py [OUT]
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jupytext
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CACHE = ROOT / ".cache" / "lite"
PYODIDE = "314.0.7"
MQTT_JS = "5.16.0"
PYTHON = "3.14"
PLATFORM = "pyemscripten_2026_0_wasm32"
WEB = f"https://cdn.jsdelivr.net/pyodide/v{PYODIDE}/full/"
"""Where Pyodide's own packages are on the public web."""
FROM_THE_WEB = ("pandas", "pyarrow")
"""What is fetched from there, with what it needs."""
CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
AT_START = ("micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi", "ipython")
"""The kernel's own packages: fetched together with Pyodide's core."""
NEEDS = {  # only what runs in the browser: the notebook's own half of a widget is in JupyterLab already
    "anywidget": ["ipywidgets", "psygnal", "typing-extensions"],
    "ipywidgets": ["comm", "ipython", "traitlets"],
    "markdown-it-py": ["mdurl"],
    "plotly": ["narwhals", "packaging"],
    "pyraft-lab": ["anywidget", "markdown-it-py", "msgspec", "pygments", "rich"],
    "pyodide-kernel": ["comm", "ipython"],
    "rich": ["markdown-it-py", "pygments"],
}
FRAMES = re.compile(r"\.(events|messages|states|entries|calls|spans|gaps|frame|reached)\b|\bsweep\(|\bpandas\b")
FIGURES = re.compile(r"\bviz\.|\blive_figure\b")
PROCESSES = re.compile(r'processes=True|network="mqtt"|ProcessPoolExecutor|create_datagram_endpoint|\baiomqtt\b')
UNREAD = re.compile(
    r"labextension/|\.data/data/|nbextension/|^plotly/package_data/(plotly\.min\.js|datasets/)|^pyraft_lab/lab/guide/"
)
"""What no Python in a browser reads: a widget's other half, which JupyterLab has, and the guide, which the site has as
notebooks."""
GO_ON = """from pyraft_lab.lab.missing import go_on

go_on("processes", "sockets", "aiomqtt")  # cells that need them are left out"""
FETCH = """from pyraft_lab.lab.missing import fetch

await fetch({names})  # without the web, cells that need it are left out"""
KERNEL = {"name": "python", "display_name": "Python (Pyodide)", "language": "python"}

Package = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Build the site into the directory of the arguments."""
    out = Path(arguments[0] if arguments else ROOT / "site-lite").resolve()
    work = CACHE / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    distribution(work / "static" / "pyodide")
    contents(work / "contents")
    settings(work)
    jupyterlite(work, out)
    slim(out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    sys.stdout.write(f"{out}: {size / 1e6:.1f} MB\n")
    return 0


# Pyodide


def distribution(place: Path) -> None:
    """Pyodide's core, the wheels, and a lock that names them."""
    core = from_npm("pyodide", PYODIDE)
    place.mkdir(parents=True)
    for name in CORE:
        shutil.copy(core / name, place)
    shutil.copy(from_npm("mqtt", MQTT_JS) / "dist" / "mqtt.esm.js", place)  # for `pyraft-lab teach --pyodide`
    lock = json.loads((core / "pyodide-lock.json").read_text("utf-8"))
    lock["packages"] = {one["name"].lower().replace("_", "-"): one for one in packages(lock["packages"], place)}
    missing = {need for one in lock["packages"].values() for need in one["depends"]} - set(lock["packages"])
    if missing:
        sys.exit(f"wheels.txt lacks {', '.join(sorted(missing))}")
    (place / "pyodide-lock.json").write_text(json.dumps(lock, sort_keys=True), "utf-8")


def packages(known: Mapping[str, Package], place: Path) -> Iterator[Package]:
    """The packages of the site's lock; those that are served here are put into ``place``."""
    of_lock, own = wheel_lists()
    here = closure(known, of_lock)
    for name in here:
        yield served(from_pypi(f"{name}=={known[name]['version']}"), place, known[name])
    for wheel in map(from_pypi, own):
        yield served(wheel, place)
    yield served(own_wheel(), place)
    for wheel in kernel_wheels():
        yield served(wheel, place)
    check_versions(known)
    for name in closure(known, FROM_THE_WEB):
        if name not in here:
            yield known[name] | {"file_name": WEB + known[name]["file_name"]}


def wheel_lists() -> tuple[list[str], list[str]]:
    """The packages of Pyodide's lock, and those that are not in it, with their versions."""
    lines = (HERE / "wheels.txt").read_text("utf-8").splitlines()
    words = [word for line in lines if not line.startswith("#") for word in line.split()]
    return [word for word in words if "==" not in word], [word for word in words if "==" in word]


def closure(known: Mapping[str, Package], names: Sequence[str]) -> list[str]:
    """These packages with everything that they need, by the lock's names."""
    found: dict[str, None] = {}
    left = list(names)
    while left:
        name = left.pop(0).lower().replace("_", "-")
        if name not in found:
            found[name] = None
            left += known[name]["depends"]
    return list(found)


def served(wheel: Path, place: Path, known: Package | None = None) -> Package:
    """The lock's entry of a wheel that the site serves itself; PyPI's files differ from Pyodide's in their digests."""
    repacked(wheel, place / wheel.name)
    name, version = wheel.name.split("-")[:2]
    name = name.replace("_", "-").lower()
    entry = known or {
        "name": name,
        "version": version,
        "install_dir": "site",
        "package_type": "package",
        "unvendored_tests": False,
        "imports": imports(wheel),
        "depends": NEEDS.get(name, []),
    }
    depends = [one.replace("_", "-") for one in NEEDS.get(name, entry["depends"])]
    digest = hashlib.sha256((place / wheel.name).read_bytes()).hexdigest()
    return entry | {"file_name": wheel.name, "sha256": digest, "depends": depends}


def imports(wheel: Path) -> list[str]:
    """The top modules of a wheel."""
    tops = {name.split("/")[0].removesuffix(".py") for name in zipfile.ZipFile(wheel).namelist()}
    return sorted(top for top in tops if top.isidentifier())


def check_versions(known: Mapping[str, Package]) -> None:
    """Fail if Pyodide's pandas or pyarrow is not one that this library accepts."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for wanted in map(Requirement, project["optional-dependencies"]["data"]):
        version = known[wanted.name]["version"]
        if version not in wanted.specifier:
            sys.exit(f"Pyodide {PYODIDE} has {wanted.name} {version}, and pyproject.toml wants {wanted}")


# Where things come from


def from_npm(name: str, version: str) -> Path:
    """The files of an npm package."""
    place = CACHE / f"{name}-{version}"
    if not place.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        run("npm", "pack", "--silent", "--pack-destination", CACHE, f"{name}@{version}")
        part = CACHE / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.unpack_archive(CACHE / f"{name}-{version}.tgz", part)
        (part / "package").rename(place)
    return place


def from_pypi(wanted: str) -> Path:
    """A wheel that runs in the browser: a pure one, or one that was compiled for it."""
    place = CACHE / "wheels" / wanted
    if not any(place.glob("*.whl")):
        tags = ["--python-version", PYTHON, "--implementation", "cp", "--platform", PLATFORM, "--platform", "any"]
        run(tools("pip"), "download", "--quiet", "--no-deps", "--only-binary=:all:", *tags, "--dest", place, wanted)
    return next(place.glob("*.whl"))


def own_wheel() -> Path:
    """This library, with MQTT.js for its connections."""
    place = CACHE / "own"
    shutil.rmtree(place, ignore_errors=True)
    run(tools("pip"), "wheel", "--quiet", "--no-deps", "--wheel-dir", place, ROOT)
    built = next(place.glob("*.whl"))
    with zipfile.ZipFile(built, "a", zipfile.ZIP_DEFLATED) as wheel:
        script = from_npm("mqtt", MQTT_JS) / "dist" / "mqtt.esm.js"
        wheel.write(script, "pyraft_lab/network/static/mqtt.esm.js")
    return built


def repacked(wheel: Path, target: Path) -> None:
    """Write a wheel without what no Python in a browser reads, so that a reader fetches less."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for entry in source.infolist():
            if not UNREAD.search(entry.filename):
                made.writestr(entry.filename, source.read(entry))


def kernel_wheels() -> Iterator[Path]:
    """The kernel's own wheels, which come with JupyterLite."""
    home = Path(tools("python")).parents[1] / "share/jupyter/labextensions/@jupyterlite/pyodide-kernel-extension"
    for name in ("ipykernel", "piplite", "pyodide_kernel"):
        yield next((home / "static" / "pypi").glob(f"{name}-*.whl"))


def tools(name: str) -> str:
    """A program of the environment that builds the site; it is made at the first call."""
    wanted = (HERE / "requirements.txt").read_text("utf-8")
    home = CACHE / f"tools-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
    if not (home / "ready").exists():
        sys.stdout.write("Installing JupyterLite into .cache/lite (a minute, once) ...\n")
        run(sys.executable, "-m", "venv", "--clear", home)
        run(home / "bin/python", "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt")
        (home / "ready").touch()
    return str(home / "bin" / name)


def run(*command: str | os.PathLike[str], cwd: Path | None = None) -> None:
    """Run a program; its failure ends the build."""
    subprocess.run(list(map(str, command)), check=True, cwd=cwd)


# The notebooks


def contents(place: Path) -> None:
    """The chapters as notebooks without outputs."""
    place.mkdir(parents=True)
    for chapter in sorted((ROOT / "chapters").glob("[0-9]*.md")):
        notebook = jupytext.read(chapter)
        notebook.metadata = {"kernelspec": KERNEL}
        notebook.cells = list(for_the_browser(notebook.cells))
        for number, cell in enumerate(notebook.cells):
            cell.id = f"cell-{number:03d}"
        jupytext.write(notebook, place / f"{chapter.stem}.ipynb")


def for_the_browser(cells: Sequence[Any]) -> Iterator[Any]:
    """The cells of a chapter; before the first frame or figure one that fetches what they need.

    Without the web it says what that means, and so does each cell that is left out.
    """
    from nbformat.v4 import new_code_cell, new_markdown_cell

    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    there: set[str] = set()
    is_told = False
    for number, cell in enumerate(cells):
        if cell.cell_type == "code":
            if PROCESSES.search(cell.source) and not is_told:
                is_told = True
                yield new_code_cell(GO_ON, metadata={"tags": ["browser"]})
            new = sorted(wanted(cell.source) - there)
            if new:
                there |= set(new)
                yield new_code_cell(fetching(new), metadata={"tags": ["browser"]})
        yield cell
        if number == 0 and PROCESSES.search(code):
            yield new_markdown_cell((HERE / "processes.md").read_text("utf-8"))


def fetching(packages: Sequence[str]) -> str:
    """The cell that fetches packages; without the web, cells that need them are left out, and all others run."""
    needed = [*packages, "numpy", "pyarrow"] if "pandas" in packages else packages
    return FETCH.format(names=", ".join(f'"{name}"' for name in needed))


def wanted(source: str) -> set[str]:
    """The packages that a cell needs and does not import."""
    figures = {"plotly"} if FIGURES.search(source) else set()
    return figures | ({"pandas"} if FRAMES.search(source) else set())


# The site


def settings(work: Path) -> None:
    """JupyterLab's settings as in `pyraft-lab lab`, and the kernel's."""
    own = ROOT / "pyraft_lab/lab/config/labconfig/default_setting_overrides.json"
    shutil.copy(own, work / "overrides.json")
    kernel = {"disablePyPIFallback": False, "loadPyodideOptions": {"packages": list(AT_START)}}
    data = {
        "appName": "pyraft_lab",
        "defaultKernelName": "python",
        "exposeAppInBrowser": True,
        "litePluginSettings": {"@jupyterlite/pyodide-kernel-extension:kernel": kernel},
    }
    (work / "jupyter-lite.json").write_text(
        json.dumps({"jupyter-lite-schema-version": 0, "jupyter-config-data": data}), "utf-8"
    )


def jupyterlite(work: Path, out: Path) -> None:
    """Run JupyterLite's own build."""
    options = ["--contents", work / "contents", "--output-dir", out, "--lite-dir", work, "--no-sourcemaps"]
    run(tools("jupyter"), "lite", "build", *options, "--apps", "lab", "--no-unused-shared-packages", cwd=work)


def slim(out: Path) -> None:
    """Delete what no reader fetches."""
    old_fonts = [font for new in out.rglob("*.woff2") for font in new.parent.glob(f"{new.stem}.*") if font != new]
    for path in [*out.rglob("*.map"), *out.rglob("third-party-licenses.json"), *old_fonts]:
        path.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
