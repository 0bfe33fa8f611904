"""The basic types: node ids, terms, indexes, votes and log ids."""

from msgspec import Struct

NodeId = int
"""A server's id: 1, 2, 3 …; never reused for another disk."""
Term = int
"""A term, counted from 1; 0 is the time before the first election (§5.1)."""
Index = int
"""An index in the log, counted from 1; 0 is before the first entry."""
RequestId = int
"""A client's request id, chosen by the driver; the engine only returns it with the answer."""

NO_NODE: NodeId = 0
"""The node id that means none: no vote given, no leader known."""


class Vote(Struct, frozen=True, order=True, array_like=True, gc=False):
    """The paper's currentTerm and votedFor in one value; ``committed`` once a quorum granted it (openraft Vote).

    Python's order (term, then node, then committed) is the total order of the ADVANCED rules;
    the RAFT rules compare by :func:`pyraft_lab.engine.rules.supersedes` and allow one vote a term.

    >>> Vote(2, 3, True)
    Vote(term=2, node=3, committed=True)
    >>> str(Vote(2, 3, True)), str(Vote(2, 3)), str(Vote(2))
    ('T2-N3', 'T2-N3?', 'T2')
    """

    term: Term = 0
    node: NodeId = NO_NODE
    committed: bool = False

    def __str__(self) -> str:
        who = f"-N{self.node}" if self.node else ""
        return f"T{self.term}{who}{'' if self.committed or not self.node else '?'}"


class LogId(Struct, frozen=True, order=True, array_like=True, gc=False):
    """The unique id of an entry: its leader (term, node) and index; ``>=`` is "at least as up-to-date" (§5.4.1).

    >>> LogId(2, 1, 3) < LogId(3, 2, 1)
    True
    >>> str(LogId(1, 2, 3))
    'T1-N2.3'
    """

    term: Term = 0
    node: NodeId = NO_NODE
    index: Index = 0

    @property
    def leader(self) -> tuple[Term, NodeId]:
        """The leadership (term, node) that created the entry."""
        return (self.term, self.node)

    def __str__(self) -> str:
        return f"T{self.term}-N{self.node}.{self.index}"


ORIGIN = LogId()
"""The log id before every other: what an empty log ends with."""
