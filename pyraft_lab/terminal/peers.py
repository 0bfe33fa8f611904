"""Other Rafts in Python on this machine, measured in the same run: ``pyraft-lab bench --peers``.

They get a virtual environment of their own in the user's cache directory, so nothing is installed beside this package.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from pyraft_lab.errors import PyraftError

PEER = "pysyncobj==0.3.17"
INSTALL_TIMEOUT, START_TIMEOUT = 300.0, 60.0
"""Seconds that an installation may take, and the start and end of a run."""
PROGRAM = """
import json, os, socket, sys, threading, time
from pysyncobj import SyncObj, SyncObjConf, replicated
outstanding, seconds = int(sys.argv[1]), float(sys.argv[2])
class Table(SyncObj):
    def __init__(self, me, others):
        super().__init__(me, others, SyncObjConf(commandsQueueSize=1000000))
        self.data = {}
    @replicated
    def put(self, key, value):
        self.data[key] = value
def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
places = ["127.0.0.1:%d" % port() for _ in range(3)]
nodes = [Table(me, [other for other in places if other != me]) for me in places]
while not all(node.isReady() for node in nodes):
    time.sleep(0.05)
leader = next(node for node in nodes if node._isLeader())
leader.put("x", b"", sync=True)
room, took = threading.Semaphore(outstanding), []
began, cpu = time.perf_counter(), time.process_time()
while time.perf_counter() < began + seconds:
    if room.acquire(timeout=0.1):
        def done(_result, _error, called=time.perf_counter()):
            took.append(time.perf_counter() - called)
            room.release()
        leader.put("x", b"v" * 80, callback=done)
elapsed, cpu, count = time.perf_counter() - began, time.process_time() - cpu, len(took)
p50 = sorted(took)[count // 2] * 1e3 if took else 0.0
print(json.dumps({"writes": count / elapsed, "p50": p50, "cpu": cpu / max(count, 1) * 1e6}), flush=True)
os._exit(0)
"""
"""Three nodes in one process, a callback for each write; one JSON object at the end."""


class PeerSpeed(Struct, frozen=True, kw_only=True):
    """Committed writes per second of another Raft, the median latency in ms, and processor time per write in µs."""

    peer: str = PEER
    outstanding: int = 1
    writes: float
    p50: float
    cpu: float


def environment() -> Path:
    """The Python of the peers' own environment, made at its first use; ``PyraftError`` if that is not possible."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyraft-lab" / PEER.replace("==", "-")
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    is_complete = home / "complete"
    if not is_complete.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(home)], INSTALL_TIMEOUT, f"an environment in {home}")
        _run([str(python), "-m", "pip", "install", "--quiet", PEER], INSTALL_TIMEOUT, f"the installation of {PEER}")
        is_complete.touch()
    return python


def measure_peer(python: Path, *, outstanding: int, seconds: float) -> PeerSpeed:
    """One run of the peer with this many writes at once, for ``seconds``."""
    command = [str(python), "-c", PROGRAM, str(outstanding), str(seconds)]
    found = msgspec.json.decode(_run(command, seconds + START_TIMEOUT, f"a run of {PEER}"), type=dict[str, float])
    return PeerSpeed(outstanding=outstanding, writes=found["writes"], p50=found["p50"], cpu=found["cpu"])


def _run(command: list[str], timeout: float, what: str) -> bytes:
    """The output of a command; ``PyraftError`` with its last words if it fails."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        return subprocess.run(command, env=outside, check=True, capture_output=True, timeout=timeout).stdout
    except subprocess.CalledProcessError as failed:
        said = failed.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        why = said[0]
    except (OSError, subprocess.TimeoutExpired) as failed:
        why = str(failed)
    raise PyraftError(f"{what} failed: {why}; --peers needs the network once, to install {PEER}; run without --peers")
