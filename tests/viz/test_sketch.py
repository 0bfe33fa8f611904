"""Sketches: every figure without pandas, numpy and Plotly."""

import subprocess
import sys

import pytest

from pyraft_lab import Simulation, viz
from pyraft_lab.viz.drawing import OTHER_HOSTS
from pyraft_lab.viz.sketch import Sketch

ALONE = """
import sys
for name in ("pandas", "numpy", "pyarrow"{more}):
    sys.modules[name] = None  # importing it raises ImportError
from pyraft_lab import Simulation, check_linearizable, viz
sim = Simulation(nodes=3, seed=7)
sim.run_until(lambda sim: sim.leader)
sim.write({{"op": "put", "key": "x", "value": 1}})
sim.run(0.5)
for draw in (viz.space_time, viz.roles, viz.logs, viz.progress, viz.commit_latency, viz.quorums, viz.snapshots,
             viz.counterexample, viz.history):
    print(draw.__name__, {draws})
print("history", {history})
print("why", {why})
"""
SKETCHES = {
    "draws": "len(draw.sketch(sim).to_svg()) > 500",
    "history": "len(viz.history.sketch(check_linearizable(sim.history, 'kv')).to_svg()) > 500",
    "why": "len(viz.why.sketch(sim.trace.why(leader=sim.leader)).to_svg()) > 500",
}
FIGURES = {
    "draws": "draw(sim).layout.title.text != ''",
    "history": "len(viz.history(check_linearizable(sim.history, 'kv')).data) == 2",
    "why": "len(viz.why(sim.trace.why(leader=sim.leader)).data) > 1",
}


def alone(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(("more", "what"), [(', "plotly"', SKETCHES), ("", FIGURES)])
def test_every_figure_is_drawn_where_pandas_cannot_be_imported(more: str, what: dict[str, str]) -> None:
    lines = alone(ALONE.format(more=more, **what))
    assert len(lines) == 11
    assert [line for line in lines if not line.endswith(" True")] == []


def test_a_lab_needs_neither_pandas_nor_plotly() -> None:
    loaded = "print([name for name in ('pandas', 'numpy', 'pyarrow', 'plotly') if name in sys.modules])"
    script = f"import sys\nfrom pyraft_lab import Lab, Simulation, viz\nLab(Simulation(nodes=3, seed=7))\n{loaded}"
    assert alone(script) == ["[]"]


def test_a_figure_without_plotly_says_what_to_install() -> None:
    script = "import sys\nsys.modules['plotly'] = None\nfrom pyraft_lab import Simulation, viz\n"
    script += "try: viz.roles(Simulation(nodes=3, seed=7))\nexcept ImportError as error: print(error)"
    (said,) = alone(script)
    assert "pyraft-lab[lab]" in said


def test_a_sketch_and_its_figure_are_one_picture() -> None:
    sim = Simulation(nodes=3, seed=7)
    sim.run(0.5)
    sketch = viz.roles.sketch(sim)
    assert isinstance(sketch, Sketch)
    assert sketch.story == viz.roles(sim).story
    assert sketch.to_svg() == viz.roles(sim).to_svg()
    assert "data:image/svg+xml" in sketch._repr_html_()


KERNEL = """
import sys, json, types
Shell = type("NAME", (), {"__module__": "MODULE"})
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=Shell)
from pyraft_lab import Simulation, viz
figure = viz.roles(Simulation(nodes=3, seed=7))
ours = figure._repr_mimebundle_()
print(sorted(ours), "nbformat" in sys.modules)
import plotly.io._renderers
print(ours == figure._repr_mimebundle_())
del sys.modules["IPython"]
plotly.io.renderers.default = "plotly_mimetype"
theirs = figure._repr_mimebundle_()
print(json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True))
"""


@pytest.mark.parametrize(
    ("module", "name"), [("ipykernel.zmqshell", "ZMQInteractiveShell"), ("pyodide_kernel.interpreter", "Interpreter")]
)
def test_the_first_figure_in_a_kernel_is_plotlys_own_without_its_slow_start(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    for other in OTHER_HOSTS:
        monkeypatch.delenv(other, raising=False)
    assert alone(KERNEL.replace("MODULE", module).replace("NAME", name)) == [
        "['application/vnd.plotly.v1+json', 'text/html', 'text/plain'] False",
        "True",
        "True",
    ]
