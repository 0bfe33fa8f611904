"""A cell that runs again and again leaves no more behind than one that ran once."""

from typing import Any

import pytest

manager = pytest.importorskip("jupyter_client.manager", reason="jupyter_client is not installed")

BEGIN = """
import threading
from pyraft_lab import Lab, LocalCluster, live_figure, live_log, live_metrics, viz
cluster = LocalCluster(3)
await cluster.__aenter__()
await cluster.wait_leader()
"""
CELL = "made = [Lab(cluster), live_figure(cluster, viz.roles), live_log(cluster), live_metrics(cluster)]"
COUNT = """
import time
deadline = time.monotonic() + 30
while (live := sorted(one.name for one in threading.enumerate() if one.name.startswith("live "))) and len(live) > 4:
    if time.monotonic() > deadline: break
    time.sleep(0.05)
print(live)
"""


@pytest.fixture
def kernel() -> Any:
    keeper, client = manager.start_new_kernel()
    yield client
    client.stop_channels()
    keeper.shutdown_kernel(now=True)


def run(client: Any, code: str, cell: str) -> str:
    """What a cell prints; it is run as a notebook runs it."""
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = client.session.msg("execute_request", content, metadata={"cellId": cell})
    client.shell_channel.send(message)
    printed = []
    while True:
        told = client.get_iopub_msg(timeout=60)
        if told["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            continue
        assert told["msg_type"] != "error", told["content"]
        if told["msg_type"] == "stream":
            printed.append(told["content"]["text"])
        if told["msg_type"] == "status" and told["content"]["execution_state"] == "idle":
            return "".join(printed).strip()


def test_twenty_runs_of_a_cell_leave_no_more_than_one(kernel: Any) -> None:
    run(kernel, BEGIN, "first")
    for _ in range(20):
        run(kernel, CELL, "second")
    assert run(kernel, COUNT, "third") == "['live figure: roles', 'live lab', 'live log', 'live metrics']"


def test_a_cluster_ends_when_the_cell_that_began_it_runs_again(kernel: Any) -> None:
    for _ in range(3):
        run(kernel, BEGIN, "first")
    named = "print(*(one.name for one in threading.enumerate() if one.name.startswith('raft cluster')))"
    assert run(kernel, named, "second") == "raft cluster local"
    assert run(kernel, "print(cluster.is_running, sorted(cluster.metrics))", "third") == "True [1, 2, 3]"


AROUND = """
from pyraft_lab import LocalCluster
from pyraft_lab.network import broker
around = broker.start().url
"""
PROCESSES = """
cluster = LocalCluster(1, processes=True, network=around, trace=None)
await cluster.__aenter__()
await cluster.client.write({"op": "incr", "key": "x"})
print(await cluster.client.read("x"))
"""


def test_processes_that_a_cell_began_make_way_for_those_of_its_next_run(kernel: Any) -> None:
    pytest.importorskip("aiomqtt", reason="aiomqtt is not installed")
    run(kernel, AROUND, "first")
    assert [run(kernel, PROCESSES, "second") for _ in range(2)] == ["1", "1"]
    run(kernel, "await cluster.close()", "third")
