"""All checkers of a campaign: those of every simulation, those that look further or ask, and the specification."""

from pyraft_lab.check.lookahead import CommitsLast, EveryWaitEnds, SameStates, StartsFromDisk
from pyraft_lab.check.obligations import Obligations
from pyraft_lab.check.refinement import Refinement
from pyraft_lab.check.what_if import WhatIf
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.rules import ADVANCED, RAFT
from pyraft_lab.sim.local_invariants import LocalInvariants
from pyraft_lab.sim.properties import Checker
from pyraft_lab.sim.safety import Safety


def checks_of(engine: Engine, config: Config, *, strict: bool = False) -> tuple[Checker, ...]:
    """All that a campaign checks after every event of a run under this engine.

    The specification knows only the paper's rules, and no leader that resumes after a restart.
    """
    steps: tuple[Checker, ...] = (Safety(), LocalInvariants(strict=strict))
    usual = (*steps, SameStates(), StartsFromDisk(), EveryWaitEnds(), Obligations(strict=strict), WhatIf(strict=strict))
    if engine.rules.vote_refusal in (RAFT.vote_refusal, ADVANCED.vote_refusal):
        usual = (*usual, CommitsLast())
    return (*usual, Refinement()) if engine.rules == RAFT and not config.leader_restore else usual
