"""A complete Raft as pure Python values: run it, stop it, rewind it, fork it, break it, measure it, prove it.

A simulation begins with ``Simulation``, a live cluster with ``LocalCluster``, a single node with ``Raft``; what
happened is in a ``Trace``, and ``Lab`` shows it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pyraft_lab.check.campaign import Campaign as Campaign
    from pyraft_lab.check.campaign import run_campaign as run_campaign
    from pyraft_lab.check.explore.bounds import Bounds as Bounds
    from pyraft_lab.check.explore.explorer import explore as explore
    from pyraft_lab.check.explore.predicates import invariants as invariants
    from pyraft_lab.check.find_violation import hunt as hunt
    from pyraft_lab.check.linearize.linearizability import check_linearizable as check_linearizable
    from pyraft_lab.check.mutants import MUTANTS as MUTANTS
    from pyraft_lab.check.mutants.mutant import Mutant as Mutant
    from pyraft_lab.check.shrink import shrink as shrink
    from pyraft_lab.concurrency import Serial as Serial
    from pyraft_lab.engine.config import Config as Config
    from pyraft_lab.engine.engine import Engine as Engine
    from pyraft_lab.engine.engine import raft as raft
    from pyraft_lab.engine.engine import step as step
    from pyraft_lab.engine.events import Guard as Guard
    from pyraft_lab.engine.events import Precondition as Precondition
    from pyraft_lab.engine.membership import AddLearners as AddLearners
    from pyraft_lab.engine.membership import AddVoters as AddVoters
    from pyraft_lab.engine.membership import Batch as Batch
    from pyraft_lab.engine.membership import Membership as Membership
    from pyraft_lab.engine.membership import RemoveLearners as RemoveLearners
    from pyraft_lab.engine.membership import RemoveVoters as RemoveVoters
    from pyraft_lab.engine.membership import ReplaceNodes as ReplaceNodes
    from pyraft_lab.engine.membership import ReplaceVoters as ReplaceVoters
    from pyraft_lab.engine.membership import SetNodes as SetNodes
    from pyraft_lab.engine.rules import ADVANCED as ADVANCED
    from pyraft_lab.engine.rules import RAFT as RAFT
    from pyraft_lab.engine.rules import Rules as Rules
    from pyraft_lab.engine.types import LogId as LogId
    from pyraft_lab.engine.types import NodeId as NodeId
    from pyraft_lab.engine.types import Vote as Vote
    from pyraft_lab.errors import AlreadyInitialized as AlreadyInitialized
    from pyraft_lab.errors import BadCommand as BadCommand
    from pyraft_lab.errors import CapsuleError as CapsuleError
    from pyraft_lab.errors import CapsuleMismatch as CapsuleMismatch
    from pyraft_lab.errors import ChangeInProgress as ChangeInProgress
    from pyraft_lab.errors import ConfigError as ConfigError
    from pyraft_lab.errors import EmptyMembership as EmptyMembership
    from pyraft_lab.errors import Fatal as Fatal
    from pyraft_lab.errors import LearnerNotFound as LearnerNotFound
    from pyraft_lab.errors import NetworkFailed as NetworkFailed
    from pyraft_lab.errors import NotInitialized as NotInitialized
    from pyraft_lab.errors import NotLeader as NotLeader
    from pyraft_lab.errors import OutcomeUnknown as OutcomeUnknown
    from pyraft_lab.errors import Overloaded as Overloaded
    from pyraft_lab.errors import Panicked as Panicked
    from pyraft_lab.errors import PlanError as PlanError
    from pyraft_lab.errors import PreconditionFailed as PreconditionFailed
    from pyraft_lab.errors import PyraftError as PyraftError
    from pyraft_lab.errors import QuorumNotEnough as QuorumNotEnough
    from pyraft_lab.errors import Stopped as Stopped
    from pyraft_lab.errors import StorageFailed as StorageFailed
    from pyraft_lab.errors import Timeout as Timeout
    from pyraft_lab.errors import UnknownNode as UnknownNode
    from pyraft_lab.errors import WrongStorage as WrongStorage
    from pyraft_lab.history import History as History
    from pyraft_lab.history import Operation as Operation
    from pyraft_lab.lab.live import live_figure as live_figure
    from pyraft_lab.lab.panel import live_log as live_log
    from pyraft_lab.lab.panel import live_metrics as live_metrics
    from pyraft_lab.lab.widget import Lab as Lab
    from pyraft_lab.machine import Counter as Counter
    from pyraft_lab.machine import KeyValue as KeyValue
    from pyraft_lab.machine import StateMachine as StateMachine
    from pyraft_lab.network.base import MemoryNetwork as MemoryNetwork
    from pyraft_lab.network.mqtt import MqttNetwork as MqttNetwork
    from pyraft_lab.runtime.client import Client as Client
    from pyraft_lab.runtime.cluster import LocalCluster as LocalCluster
    from pyraft_lab.runtime.clusters import Cluster as Cluster
    from pyraft_lab.runtime.connection import connect as connect
    from pyraft_lab.runtime.raft import Raft as Raft
    from pyraft_lab.sim.conditions import Link as Link
    from pyraft_lab.sim.conditions import Weather as Weather
    from pyraft_lab.sim.faults.generate import run_with_faults as run_with_faults
    from pyraft_lab.sim.faults.generate import unleash as unleash
    from pyraft_lab.sim.faults.plan import Plan as Plan
    from pyraft_lab.sim.simulation import Simulation as Simulation
    from pyraft_lab.sim.sweep import sweep as sweep
    from pyraft_lab.sim.workload import Load as Load
    from pyraft_lab.storage.memory import MemoryStorage as MemoryStorage
    from pyraft_lab.storage.sqlite import SqliteStorage as SqliteStorage
    from pyraft_lab.trace.trace import Trace as Trace

_WHERE = {
    "pyraft_lab.check.explore.bounds": ("Bounds",),
    "pyraft_lab.check.explore.explorer": ("explore",),
    "pyraft_lab.check.linearize.linearizability": ("check_linearizable",),
    "pyraft_lab.check.campaign": ("Campaign", "run_campaign"),
    "pyraft_lab.check.find_violation": ("hunt",),
    "pyraft_lab.check.mutants.mutant": ("Mutant",),
    "pyraft_lab.check.mutants": ("MUTANTS",),
    "pyraft_lab.check.explore.predicates": ("invariants",),
    "pyraft_lab.check.shrink": ("shrink",),
    "pyraft_lab.concurrency": ("Serial",),
    "pyraft_lab.engine.config": ("Config",),
    "pyraft_lab.engine.engine": ("Engine", "raft", "step"),
    "pyraft_lab.engine.events": ("Guard", "Precondition"),
    "pyraft_lab.engine.membership": (
        *("Membership", "AddLearners", "AddVoters", "Batch"),
        *("RemoveLearners", "RemoveVoters", "ReplaceNodes", "ReplaceVoters", "SetNodes"),
    ),
    "pyraft_lab.engine.rules": ("ADVANCED", "RAFT", "Rules"),
    "pyraft_lab.engine.types": ("LogId", "NodeId", "Vote"),
    "pyraft_lab.errors": (
        *("AlreadyInitialized", "BadCommand", "CapsuleError", "CapsuleMismatch"),
        *("ChangeInProgress", "ConfigError", "EmptyMembership", "Fatal"),
        *("LearnerNotFound", "NetworkFailed", "NotInitialized", "NotLeader", "OutcomeUnknown", "Overloaded"),
        *("Panicked", "PlanError", "PreconditionFailed", "PyraftError", "QuorumNotEnough", "StorageFailed", "Stopped"),
        *("Timeout", "UnknownNode", "WrongStorage"),
    ),
    "pyraft_lab.history": ("History", "Operation"),
    "pyraft_lab.lab.live": ("live_figure",),
    "pyraft_lab.lab.panel": ("live_log", "live_metrics"),
    "pyraft_lab.lab.widget": ("Lab",),
    "pyraft_lab.machine": ("Counter", "KeyValue", "StateMachine"),
    "pyraft_lab.network.base": ("MemoryNetwork",),
    "pyraft_lab.network.mqtt": ("MqttNetwork",),
    "pyraft_lab.runtime.client": ("Client",),
    "pyraft_lab.runtime.cluster": ("LocalCluster",),
    "pyraft_lab.runtime.clusters": ("Cluster",),
    "pyraft_lab.runtime.connection": ("connect",),
    "pyraft_lab.runtime.raft": ("Raft",),
    "pyraft_lab.sim.faults.generate": ("run_with_faults", "unleash"),
    "pyraft_lab.sim.faults.plan": ("Plan",),
    "pyraft_lab.sim.simulation": ("Simulation",),
    "pyraft_lab.sim.sweep": ("sweep",),
    "pyraft_lab.sim.conditions": ("Link", "Weather"),
    "pyraft_lab.sim.workload": ("Load",),
    "pyraft_lab.storage.memory": ("MemoryStorage",),
    "pyraft_lab.storage.sqlite": ("SqliteStorage",),
    "pyraft_lab.trace.trace": ("Trace",),
}
"""Which module has which names: a new public name is one word here (and one line above, for type checkers).

Each is imported when it is first asked for, so that ``import pyraft_lab`` is quick, and a script without pictures
needs neither pandas nor Plotly.
"""
_HOME = {name: module for module, names in _WHERE.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605 (made of the table)


def load_ipython_extension(shell: Any) -> None:
    """Add ``%%rule`` to a notebook: ``%load_ext pyraft_lab``."""
    import_module("pyraft_lab.exercises.magic").load(shell)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pyraft_lab.extras import needed

    with needed(*(["plotly"] if _HOME[name].startswith("pyraft_lab.lab.") else [])):
        value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
