"""The mutants: departures from Raft, one line each, with what they break and how they are caught.

>>> mutant = MUTANTS["ignores-logs"]
>>> mutant.description, mutant.section, mutant.violates
('votes without comparing the logs', '§5.4.1', ('leader completeness',))
"""

from collections.abc import Mapping

from pyraft_lab.check.mutants.clients import LEASES, READ, SESSIONS, SNAPSHOT
from pyraft_lab.check.mutants.elections import VOTES
from pyraft_lab.check.mutants.memberships import MEMBERSHIP
from pyraft_lab.check.mutants.mutant import Mutant
from pyraft_lab.check.mutants.replication import COMMIT, LOGS

PARTS = (VOTES, LOGS, COMMIT, MEMBERSHIP, SNAPSHOT, READ, LEASES, SESSIONS)
"""The mutants of each part of Raft."""
FORMER_NAMES = {"is-disloyal": "ignores-vote-leases"}
"""Names of earlier versions, which still find their mutant."""


class _ByName(dict[str, Mutant]):
    def __missing__(self, name: str) -> Mutant:
        return self[FORMER_NAMES[name]]


MUTANTS: Mapping[str, Mutant] = _ByName({one.name: one for part in PARTS for one in part})
"""Every mutant by name, part by part of Raft."""
