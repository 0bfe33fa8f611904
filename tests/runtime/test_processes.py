import asyncio
from pathlib import Path

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.errors import ConfigError, UnknownNode
from pyraft_lab.machine import Counter
from pyraft_lab.network import broker
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.processes import ProcessCluster

CALM = Config(election_timeout=(0.5, 1.0), heartbeat_interval=0.1)


@pytest.mark.usefixtures("each_broker")
async def test_processes_keep_what_they_acknowledged_through_kill_nine() -> None:
    async with LocalCluster(3, processes=True, config=CALM) as cluster:
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        leader = await cluster.wait_leader(10)
        await cluster.kill(leader)
        assert await cluster.wait_leader(10) != leader
        assert await cluster.client.read("x") == 1
        await cluster.client.write({"op": "put", "key": "x", "value": 2})  # what a killed node told last may be lost
        await cluster.restart(leader)
        await cluster.add_learner(4)
        await cluster.change_membership({1, 2, 3, 4} - {leader})
        assert cluster.metrics[await cluster.wait_leader(10)].membership.voters == {1, 2, 3, 4} - {leader}
        await cluster.transfer(4)
        assert await cluster.wait_leader(10) == 4
    events = cluster.trace.events
    assert {"receive", "propose", "crash", "stored"} <= set(events.kind)
    caused = events[events.cause.isin(events.id)]
    causes = events.set_index("id").loc[caused.cause]
    assert (causes.time.to_numpy() <= caused.time.to_numpy()).all(), "no effect comes before its cause"


@pytest.mark.usefixtures("each_broker")
async def test_links_between_processes_can_be_cut() -> None:
    async with LocalCluster(3, processes=True, config=CALM, trace=None) as cluster:
        old = await cluster.wait_leader(10)
        cluster.partition({old}, {1, 2, 3} - {old})
        async with asyncio.timeout(20):
            while await cluster.wait_leader(10) == old:  # noqa: ASYNC110 (a partition begins once all have heard of it)
                await asyncio.sleep(0.05)
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        cluster.heal()
        await cluster.client.write({"op": "put", "key": "x", "value": 2})
        assert await cluster.client.read("x") == 2


async def test_a_learner_that_nobody_waits_for_may_have_nothing_yet() -> None:
    async with LocalCluster(1, processes=True, config=CALM, trace=None) as cluster:
        await cluster.wait_leader(10)
        cluster.partition({1})  # whoever comes later stands outside
        assert "2" in str(await cluster.add_learner(2, blocking=False))
        assert cluster.metrics[1].replication[2] == 0
        cluster.heal()
        await cluster.add_learner(2)
        assert cluster.metrics[1].replication[2] > 0


async def test_what_cannot_be_handed_to_a_process_is_refused() -> None:
    with pytest.raises(ConfigError, match="another process"):
        LocalCluster(3, processes=True, machine=Counter)
    async with LocalCluster(1, processes=True, config=CALM, trace=None) as cluster:
        with pytest.raises(UnknownNode):
            await cluster.kill(7)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the command line of a process is read in /proc")
async def test_a_password_is_on_no_command_line() -> None:
    with broker.start() as running:
        url = running.url.replace("://", "://ann:open-sesame@", 1)
        async with ProcessCluster(1, network=url, config=CALM, trace=None) as cluster:
            (pid,) = cluster.pids.values()
            command, environment = await asyncio.to_thread(read_process, pid)
            assert b"//ann@" in command
            assert b"open-sesame" not in command
            assert b"open-sesame" in environment, "and yet the node knows it"


def read_process(pid: int) -> tuple[bytes, bytes]:
    """The command line and the environment of a process, as other programs see them."""
    directory = Path(f"/proc/{pid}")
    return (directory / "cmdline").read_bytes(), (directory / "environ").read_bytes()
