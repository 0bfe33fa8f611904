"""Where an optional package is missing, the error names what installs it; where none is needed, none is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLAN = '{"nodes": 3, "seconds": 1, "faults": []}'
SIMULATION = "from pyraft_lab import Simulation; sim = Simulation(3, seed=1); sim.run(1.0);"
CLUSTER = "import asyncio; from pyraft_lab import LocalCluster;"


def without(packages: str, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a script in a Python that has none of these packages."""
    hidden = "".join(f"sys.modules[{package!r}] = None;" for package in packages.split())
    command = [sys.executable, "-c", f"import sys; {hidden}\n{script}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("missing", "script", "extra"),
    [
        ("pandas", f"{SIMULATION} sim.trace.events", "data"),
        ("pandas", f"{SIMULATION} sim.history.frame", "data"),
        ("pandas", f"{SIMULATION} sim.trace.save('/dev/null/x.parquet')", "data"),
        ("pandas", "from pyraft_lab import Trace; Trace.load('x.parquet')", "data"),
        ("pyarrow", f"{SIMULATION} sim.trace.save('/dev/null/x.parquet')", "data"),
        ("plotly", f"{SIMULATION} from pyraft_lab.viz import roles; roles(sim)", "lab"),
        ("pandas plotly", f"{SIMULATION} from pyraft_lab.viz import logs; logs(sim)", "lab"),
        ("anywidget", "from pyraft_lab import Lab", "lab"),
        ("plotly", "from pyraft_lab import live_figure", "lab"),
        ("aiomqtt", "from pyraft_lab import MqttNetwork", "mqtt"),
        ("aiomqtt", "import pyraft_lab.network.mqtt", "mqtt"),
        ("aiomqtt", "import pyraft_lab.network.connection", "mqtt"),
        ("aiomqtt", "import pyraft_lab.network.mqtt_session", "mqtt"),
        ("aiomqtt", "import pyraft_lab.network.retained", "mqtt"),
        ("aiomqtt", "from pyraft_lab import Trace; Trace.follow('mqtt://localhost', 'demo')", "mqtt"),
        ("aiomqtt", f"{CLUSTER} LocalCluster(3, processes=True)", "mqtt"),
        ("aiomqtt", f"{CLUSTER} asyncio.run(LocalCluster(3, network='mqtt').__aenter__())", "mqtt"),
        ("opentelemetry", "from pyraft_lab.trace.export import SpanExporter; SpanExporter()", "otel"),
        ("yaml", "from pyraft_lab import Plan; Plan.load('plan.yaml')", "plans"),
    ],
)
def test_a_missing_package_is_answered_with_the_extra_that_brings_it(
    missing: str, script: str, extra: str, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("nodes: 3\n")
    ended = without(missing, script.replace("plan.yaml", str(plan)))
    told = ended.stderr.splitlines()[-1]
    assert "MissingExtra" in told or "PlanError" in told
    assert f'pip install "pyraft-lab[{extra}]"' in told


@pytest.mark.parametrize(
    ("missing", "words", "extra"),
    [
        ("aiomqtt", "client --broker mqtt://localhost status", "mqtt"),
        ("aiomqtt", "node --id 1 --data x --broker mqtt://localhost", "mqtt"),
        ("aiomqtt", "demo --seconds 0.1", "mqtt"),
        ("pandas", "simulate --trace x.parquet", "data"),
        ("pyarrow", "simulate --trace x.parquet", "data"),
        ("pyarrow", "check --out x.parquet", "data"),
        ("plotly", "demo --report x.html", "lab"),
        ("jupyterlab", "lab", "lab"),
        ("yaml", "simulate --plan plan.yaml", "plans"),
    ],
)
def test_a_command_names_the_extra_in_one_line(missing: str, words: str, extra: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("nodes: 3\n")
    script = (
        f"import os; os.chdir({str(tmp_path)!r}); from pyraft_lab.cli import main; sys.exit(main({words.split()!r}))"
    )
    ended = without(missing, script)
    assert ended.returncode in {1, 2}
    assert f'pip install "pyraft-lab[{extra}]"' in ended.stderr + ended.stdout
    assert len((ended.stderr + ended.stdout).splitlines()) == 1


def test_a_simulation_and_a_plan_in_json_need_no_extra(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(PLAN)
    words = ["simulate", "--plan", str(tmp_path / "plan.json"), "--trace", str(tmp_path / "run.jsonl")]
    everything = "pandas pyarrow yaml plotly anywidget ipywidgets aiomqtt amqtt jupyterlab IPython traitlets"
    ended = without(everything, f"from pyraft_lab.cli import main; sys.exit(main({words!r}))")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "run.jsonl").exists()
