"""A Python like the one in a browser tab, made of CPython: run a script in it.

No thread starts; our own modules find neither sockets nor processes; pandas, Plotly and the MQTT library are missing.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BAREST = """
import asyncio, builtins, sys, threading
import concurrent.futures.thread

def refused(self):
    raise RuntimeError("can't start new thread")

threading.Thread.start = refused
MISSING = {"socket", "ssl", "subprocess", "select", "multiprocessing", "_multiprocessing"}
for name in ("pandas", "numpy", "pyarrow", "plotly", "aiomqtt", "paho", "multiprocessing", "_multiprocessing"):
    sys.modules[name] = None
found = builtins.__import__

def guarded(name, globals=None, *more, **named):
    if name.partition(".")[0] in MISSING and (globals or {}).get("__name__", "").startswith("pyraft_lab"):
        raise ModuleNotFoundError(f"no {name} here", name=name)
    return found(name, globals, *more, **named)

builtins.__import__ = guarded
"""


def run_threadless(script: str) -> "subprocess.CompletedProcess[str]":
    """Run a script there; its output and errors as text."""
    command = [sys.executable, "-W", "error", "-c", BAREST + script]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
