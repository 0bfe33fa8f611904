"""A client for scripts: no await, its own thread, the same errors."""

import asyncio

import pytest

from pyraft_lab import LocalCluster, connect
from pyraft_lab.errors import BadCommand, ConfigError, NetworkFailed, PyraftError, Timeout


@pytest.mark.usefixtures("each_broker")
async def test_a_script_writes_and_reads_without_await_also_where_a_loop_runs() -> None:
    async with LocalCluster(3, network="mqtt", processes=True) as cluster:
        await cluster.wait_leader(30.0)
        assert cluster.broker is not None
        url = cluster.broker.url

        def script() -> None:
            with connect(url, cluster="local") as kv:
                kv.put("x", 1)
                assert kv.get("x") == 1
                assert kv.write({"op": "incr", "key": "x"}) == 2
                assert kv.write_many([{"op": "incr", "key": "x"}] * 3) == [3, 4, 5]
                assert kv.read("x", policy="lease") == 5
                with pytest.raises(BadCommand):
                    kv.write({"op": "jump", "key": "x"})
                with pytest.raises(BadCommand):
                    kv.write(object())
            kv.close()
            with pytest.raises(PyraftError, match="not open"):
                kv.get("x")

        script()  # in a running loop
        await asyncio.to_thread(script)


def test_a_connection_says_what_is_wrong_before_it_hangs() -> None:
    with pytest.raises(NetworkFailed), connect("mqtt://127.0.0.1:1"):
        pass
    for wrong in ({"cluster": 3}, {"deadline": "soon"}):
        with pytest.raises(ConfigError):
            connect("mqtt://127.0.0.1:1", **wrong)


@pytest.mark.usefixtures("each_broker")
async def test_where_no_node_is_up_a_call_ends_with_that() -> None:
    from pyraft_lab.network import broker

    with (
        broker.start() as running,
        connect(running.url, deadline=0.2) as kv,
        pytest.raises(Timeout, match="no node is up"),
    ):
        kv.put("x", 1)
