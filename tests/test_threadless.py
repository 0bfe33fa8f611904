"""Where no thread, no process and no socket is: everything that a browser tab is promised."""

import pytest

from tests.threadless import run_threadless


def told(script: str) -> str:
    """What a script printed; it must succeed and warn of nothing."""
    ended = run_threadless(script)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout.strip()


def test_what_is_missing_is_found_out_by_trying() -> None:
    script = "from pyraft_lab import concurrency as c; print(c.has_threads(), c.has_processes(), c.suspender())"
    assert told(script) == "False False None"


def test_a_simulation_tells_the_same_story_there() -> None:
    from pyraft_lab import Simulation

    script = "from pyraft_lab import Simulation; s = Simulation(5, seed=7); s.run(3.0); print(s.trace.digest())"
    here = Simulation(5, seed=7)
    here.run(3.0)
    assert told(script) == here.trace.digest()


@pytest.mark.parametrize(
    "script",
    [
        "s = p.Simulation(3, seed=1); s.run(1); print(s.trace.story()[:4], p.Lab(s).story != '')",
        "print(p.explore(3, bounds=p.Bounds(timeouts=1)).exhausted, True)",
        "print(p.run_campaign(range(2), nodes=3, faults='light', seconds=2).ok, True)",
        "print(p.hunt(next(iter(p.MUTANTS))).violations != (), True)",
        (
            "from pyraft_lab import exercises; hand = exercises.play(p.Simulation(3, seed=1), 1); hand.wait();"
            "print(hand.answer('grant').right, True)"
        ),
        (
            "calls = [(1, 0.0, 1.0, ('put', 'x', 1), None), (2, 2.0, 3.0, ('get', 'x'), 1)];"
            "h = p.History([p.Operation(*call) for call in calls]); print(p.check_linearizable(h, 'kv').ok, True)"
        ),
    ],
)
def test_what_needs_no_loop_works_there(script: str) -> None:
    assert told("import pyraft_lab as p\n" + script).endswith("True")


CLUSTER = """
import pyraft_lab as p

async def main():
    async with p.LocalCluster(3) as cluster:
        lab = p.Lab(cluster)
        panel = p.live_metrics(cluster)
        sent = []
        lab.send = sent.append
        leader = await cluster.wait_leader(20)
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        await cluster.kill(leader)
        await cluster.restart(leader)
        for order in ({"type": "crash", "node": leader}, {"type": "restart", "node": leader},
                      {"type": "write", "key": "y", "value": 2}):
            lab._on_message(lab, {"do": "act", "branch": "main", "event": 0, "time": 0.0, "order": order}, [])
            await asyncio.sleep(0.1)
        async with asyncio.timeout(30):
            while await cluster.client.read("y") != 2 or not any(one["type"] == "chunk" for one in sent):
                await asyncio.sleep(0.01)
        print(await cluster.client.read("x"), [one for one in sent if one["type"] == "error"], panel.is_live)
        lab.close()
        panel.close()
    print(cluster.is_running, len(asyncio.all_tasks()))
    async with cluster:
        print(cluster.is_running)

asyncio.run(main())
"""


def test_a_live_cluster_shares_the_loop_and_leaves_it_clean() -> None:
    assert told(CLUSTER).splitlines() == ["1 [] True", "False 1", "True"]


def test_a_cluster_keeps_its_disks_in_a_directory() -> None:
    script = """
import tempfile, pyraft_lab as p
async def main():
    with tempfile.TemporaryDirectory() as place:
        for number in (1, 2):
            async with p.LocalCluster(3, storage=place) as cluster:
                await cluster.wait_leader(20)
                await cluster.client.write({"op": "put", "key": number, "value": number})
                print(await cluster.client.read(1))
asyncio.run(main())
"""
    assert told(script).splitlines() == ["1", "1"]


PAGE = """
from tests.page import REFUSED, SESSIONS, open_page
open_page()
import pyraft_lab as p
"""
OVER_MQTT = (
    PAGE
    + """
from pyraft_lab.runtime.process import NodeOptions, serve
from pyraft_lab.runtime.remote import Remote

URL = "ws://127.0.0.1:9001"

def options(node):
    return NodeOptions(id=node, broker=URL, initial_voters=(1, 2, 3) if node == 1 else ())

async def main():
    stop = asyncio.Event()
    nodes = [asyncio.create_task(serve(options(node), stop)) for node in (1, 2, 3)]
    trace = p.Trace.follow(URL, "demo")
    await trace.connected()
    lab = p.Lab(trace)
    async with Remote.connect(URL, cluster="demo") as remote:
        await remote.client(deadline=20).write({"op": "put", "key": "x", "value": 1})
        print(await remote.client(deadline=20).read("x"))
    while not {record.node for record in trace.records} >= {1, 2, 3}:
        await asyncio.sleep(0.01)
    print("becomes leader" in trace.story() or trace.story())
    lab.close()
    trace.close()
    stop.set()
    await asyncio.wait(nodes)
    print(len(trace.records) > 0, trace.is_open, [node.exception() for node in nodes], len(SESSIONS))

asyncio.run(main())
"""
)


def test_nodes_a_client_and_a_follower_meet_over_the_websockets_of_the_page() -> None:
    assert told(OVER_MQTT).splitlines() == ["1", "True", "True False [None, None, None] 0"]


WAITS = {
    "connect": ("with p.connect(URL): pass", "would block the event loop"),
    "gate": ("cluster.gate.close(); cluster.gate.wait()", "would block the event loop"),
    "panel": ("p.live_metrics(cluster).join(1.0)", "would block the event loop"),
    "network": ("await p.LocalCluster(3, network='mqtt').__aenter__()", "no process can be started"),
    "processes": ("p.LocalCluster(3, processes=True)", "no process can be started"),
    "TCP": ("p.Trace.follow('mqtt://127.0.0.1', 'demo')", "must be a WebSocket here"),
    "refused": ("t = p.Trace.follow('ws://ann:x@127.0.0.1', 'demo'); await t.connected()", "does not know 'ann'"),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_would_wait_for_its_own_loop_or_cannot_be_is_refused_at_once(name: str) -> None:
    script, reason = WAITS[name]
    whole = f"""{PAGE}
URL = "ws://127.0.0.1:9001"
REFUSED.add("ann")
async def attempt(cluster):
    {script}
async def main():
    async with p.LocalCluster(1) as cluster:
        try:
            await asyncio.wait_for(attempt(cluster), 20)
        except p.PyraftError as error:
            print(error)
asyncio.run(main())
"""
    assert reason in told(whole)


def test_without_a_running_loop_a_guest_is_refused_in_words() -> None:
    script = f"""{PAGE}
try:
    p.Trace.follow("ws://127.0.0.1:9001", "demo")
except p.PyraftError as error:
    print(error)
"""
    assert "call this inside a running event loop" in told(script)
