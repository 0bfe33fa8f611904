"""Mistakes in replication (§5.3, §5.4.2): logs, disks, and what counts as committed."""

from pyraft_lab.check.mutants import faulty_rules as wrong
from pyraft_lab.check.mutants.mutant import Mutant
from pyraft_lab.check.scenarios.random_walk import RandomWalk
from pyraft_lab.sim.safety import (
    COMMIT_IS_BACKED,
    DURABLE_BEFORE_ANSWER,
    LEADER_COMPLETENESS,
    LOG_MATCHING,
    NOTHING_IMPOSSIBLE,
    ONE_VOTE_A_TERM,
    STATE_MACHINE_SAFETY,
)

COMPETING_CANDIDATES = RandomWalk(
    awake_steps=18, timers=0.15, ignored_appends=0.9, crash=0.0, drop=0.0, duplicate=0.0, write=0.0
)
ONE_BY_ONE = {"max_append_entries": 1}

LOGS = (
    Mutant(
        name="accepts-before-disk",
        description="acknowledges entries first, and writes them afterwards",
        section="§5.3, Figure 2",
        violates=(DURABLE_BEFORE_ANSWER, COMMIT_IS_BACKED),
        hint="the leader counts a copy that a loss of power takes back",
        rules={"waits_for_disk": wrong.accepts_before_disk},
        seed=1,
    ),
    Mutant(
        name="fits-by-length",
        description="checks that there is an entry before the new ones, and not which",
        section="§5.3",
        violates=(LOG_MATCHING, STATE_MACHINE_SAFETY, NOTHING_IMPOSSIBLE, DURABLE_BEFORE_ANSWER),
        hint="two logs of one length and of different terms",
        rules={"log_matches": wrong.fits_by_length},
        seed=44,
    ),
    Mutant(
        name="writes-again",
        description="truncates its log on every append, also where the entries are there already",
        section="§5.3",
        violates=(COMMIT_IS_BACKED, NOTHING_IMPOSSIBLE, DURABLE_BEFORE_ANSWER),
        hint="an append that is late, or arrives twice, cuts off what came after it",
        rules={"new_entries": wrong.appends_duplicates},
        scenario=RandomWalk(duplicate=0.05),
        seed=6,
    ),
    Mutant(
        name="keeps-conflicts",
        description="leaves what it has as it is, and takes only entries beyond its end",
        section="§5.3",
        violates=(DURABLE_BEFORE_ANSWER, LOG_MATCHING, STATE_MACHINE_SAFETY),
        hint="a follower has a last entry that no other server has",
        rules={"new_entries": wrong.keeps_conflicts},
        seed=22,
    ),
    Mutant(
        name="obeys-old-leaders",
        description="follows every leader that was once elected, even of an earlier term",
        section="§5.1",
        violates=(
            ONE_VOTE_A_TERM,
            NOTHING_IMPOSSIBLE,
            LOG_MATCHING,
            LEADER_COMPLETENESS,
            STATE_MACHINE_SAFETY,
            DURABLE_BEFORE_ANSWER,
        ),
        hint="the heartbeat of a leader that was deposed",
        rules={"supersedes": wrong.follows_old_leaders},
        seed=19,
    ),
    Mutant(
        name="resumes-unflushed",
        description="sends entries before its own disk has them, and leads on in its term after a crash",
        section="dissertation §10.2.1",
        violates=(LOG_MATCHING, STATE_MACHINE_SAFETY, DURABLE_BEFORE_ANSWER),
        hint="one term, one index, two entries",
        rules={"sendable": wrong.sends_all, "waits_for_disk": wrong.grants_before_disk},
        settings={"leader_restore": True},
        seed=49,
    ),
)

COMMIT = (
    Mutant(
        name="commits-old-terms",
        description="commits an entry of another leader as soon as a majority holds it",
        section="§5.4.2, Figure 8",
        violates=(LEADER_COMPLETENESS, STATE_MACHINE_SAFETY),
        hint="three servers; the first leads, then the third, then the first again",
        rules={"commit_index": wrong.commits_old_terms},
        scenario=COMPETING_CANDIDATES,
        settings=ONE_BY_ONE,
        seed=220,
    ),
    Mutant(
        name="commits-what-it-has",
        description="commits as far as the leader has, also where its own log was not compared",
        section="§5.3, Figure 2",
        violates=(STATE_MACHINE_SAFETY, LEADER_COMPLETENESS),
        hint="the follower's last entries are not the leader's",
        rules={"follower_commit": wrong.commits_what_it_has, "conflict_hint": wrong.asks_for_all},
        scenario=RandomWalk(write=0.1),
        settings=ONE_BY_ONE,
        seed=426,
    ),
    Mutant(
        name="counts-its-memory",
        description="counts its own copy of an entry before it is on its disk",
        section="dissertation §10.2.1",
        violates=(COMMIT_IS_BACKED,),
        hint="of three servers one follower has it on disk",
        rules={"commit_index": wrong.counts_unsynced_entries},
        seed=12,
    ),
    Mutant(
        name="half-commits",
        description="takes half of the voters for a majority when it counts copies",
        section="§5.3",
        violates=(COMMIT_IS_BACKED,),
        hint="four servers have two halves",
        rules={"commit_index": wrong.commits_with_half},
        nodes=4,
        seed=0,
    ),
    Mutant(
        name="learners-commit",
        description="counts the copies of learners",
        section="dissertation §4.2.1",
        violates=(COMMIT_IS_BACKED,),
        hint="three of five have it, and a majority of the voters has not",
        rules={"commit_index": wrong.counts_learners},
        learners=2,
        seed=4,
    ),
)
