"""Reads of a search: what was committed when each was asked, and whether its answer shows that."""

from msgspec import Struct

from pyraft_lab.check.explore.leases import LeaseOver
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.sim.facts import Fact

FRESH_READS = "reads are fresh"
"""A read shows everything that was committed when it was asked (dissertation §6.4)."""


class ReadAsked(Struct, frozen=True, tag=True):
    """A client asked a server to read; requests are numbered from 1, so that 0 is none."""

    request: int


class ReadServed(Struct, frozen=True, tag=True):
    """A read may be served once everything up to index ``at`` is applied."""

    node: NodeId
    request: int
    at: Index


class ReadRefused(Struct, frozen=True, tag=True):
    """A read was refused; its client knows that."""

    request: int


ReadFact = ReadAsked | ReadServed | ReadRefused
LocalFact = Fact | ReadFact | LeaseOver
LocalFacts = tuple[LocalFact, ...]
"""The facts of a step of one server: those of a simulation, those of its reads, and the ends of leases."""
