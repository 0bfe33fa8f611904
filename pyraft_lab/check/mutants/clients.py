"""Mistakes that clients would notice (§7, §8): snapshots, reads, leases and sessions."""

from pyraft_lab.check.failure import LINEARIZABLE
from pyraft_lab.check.mutants import faulty_rules as wrong
from pyraft_lab.check.mutants.mutant import Mutant
from pyraft_lab.check.scenarios.lost_answer import LostAnswerScenario
from pyraft_lab.check.scenarios.random_walk import RandomWalk
from pyraft_lab.check.scenarios.stale_reads import StaleReadScenario
from pyraft_lab.sim.safety import COMMIT_STAYS, DURABLE_BEFORE_ANSWER, SNAPSHOT_COVERS

SNAPSHOTS = RandomWalk(steps=500, snapshot=0.06, write=0.1, duplicate=0.05)
READS = RandomWalk(read=0.08, write=0.08)

SNAPSHOT = (
    Mutant(
        name="installs-any-snapshot",
        description="installs every snapshot that arrives, however old",
        section="§7, Figure 13",
        violates=(COMMIT_STAYS,),
        hint="a snapshot that arrives twice",
        rules={"is_snapshot_useful": wrong.installs_any},
        scenario=SNAPSHOTS,
        settings={"keep_logs": 0},
        seed=316,
    ),
    Mutant(
        name="forgets-applied",
        description="forgets whatever is applied, whether or not the snapshot has it",
        section="§7",
        violates=(SNAPSHOT_COVERS, DURABLE_BEFORE_ANSWER),
        hint="what is neither in the log nor in the snapshot?",
        rules={"purge_limit": wrong.forgets_applied, "purge_upto": wrong.forgets_applied},
        scenario=SNAPSHOTS,
        settings={"keep_logs": 0},
        seed=4,
    ),
)

READ = (
    Mutant(
        name="reads-at-once",
        description="answers a read without asking any server whether it still leads",
        section="§8, dissertation §6.4",
        violates=(LINEARIZABLE,),
        hint="a leader that does not know of its successor",
        rules={"is_read_safe": wrong.reads_at_once},
        scenario=StaleReadScenario("cut off", "index"),
    ),
    Mutant(
        name="one-answer-proves",
        description="takes the answer of any one server to a round for a majority's",
        section="§8, dissertation §6.4",
        violates=(LINEARIZABLE,),
        hint="a leader and a learner are cut off from two voters",
        rules={"acked_round": wrong.one_ack_confirms},
        scenario=StaleReadScenario("divided", "index"),
        learners=1,
    ),
    Mutant(
        name="reads-early",
        description="answers reads before an entry of its own term is committed",
        section="§8, dissertation §6.4",
        violates=(LINEARIZABLE,),
        hint="a new leader has all that is committed, and does not know what that is",
        rules={"read_at": wrong.reads_early},
        scenario=READS,
        seed=0,
    ),
)

LEASES = (
    Mutant(
        name="leads-for-ever",
        description="reads by a lease that never runs out",
        section="dissertation §6.4.1",
        violates=(LINEARIZABLE,),
        hint="cut it off, elect another, write there, read here",
        rules={"has_valid_lease": wrong.never_loses_lease},
        scenario=StaleReadScenario("cut off"),
    ),
    Mutant(
        name="allows-no-drift",
        description="has leases as long as its followers' vote leases, as if all clocks were the same",
        section="dissertation §6.4.1",
        violates=(LINEARIZABLE,),
        hint="the leader's clock is slow, the others' are fast",
        config={"clock_drift": 0.0},
        scenario=StaleReadScenario("cut off"),
    ),
    Mutant(
        name="ignores-vote-leases",
        description="votes against a leader it has just heard from, while others read by that leader's lease",
        section="dissertation §4.2.3, §6.4.1",
        violates=(LINEARIZABLE,),
        hint="a lease is worth what its followers' promise is worth",
        rules={"vote_refusal": wrong.ignores_vote_lease},
        scenario=StaleReadScenario("cut off"),
        nodes=5,
    ),
    Mutant(
        name="boots-free",
        description="forgets its vote lease in a restart",
        section="dissertation §6.4.1",
        violates=(LINEARIZABLE,),
        hint="a restart takes a few milliseconds, a lease a hundred",
        rules={"starts_with_vote_lease": wrong.starts_without_vote_lease},
        scenario=StaleReadScenario("restarted"),
        nodes=5,
    ),
    Mutant(
        name="keeps-its-lease",
        description="trusts its lease although it has asked another server to depose it",
        section="dissertation §3.10, §6.4.1",
        violates=(LINEARIZABLE,),
        hint="an order to campaign cannot be called back",
        rules={"has_valid_lease": wrong.keeps_its_lease},
        scenario=StaleReadScenario("transferred"),
    ),
    Mutant(
        name="starts-when-answered",
        description="counts its lease from when the answers came, not from when it asked",
        section="dissertation §6.4.1",
        violates=(LINEARIZABLE,),
        hint="the answer was long on its way",
        rules={"starts_lease": wrong.starts_when_answered},
        scenario=StaleReadScenario("delayed"),
        seed=2,
    ),
    Mutant(
        name="counts-ticks",
        description="takes a lease for valid until its own timer says otherwise, however long it stood still",
        section="dissertation §6.4.1",
        violates=(LINEARIZABLE,),
        hint="a leader that sleeps for a while, and is asked before it looks at the clock",
        rules={"fires_first": wrong.ignores_overdue_timers},
        scenario=StaleReadScenario("paused"),
    ),
)

SESSIONS = (
    Mutant(
        name="forgets-sessions",
        description="carries a command out as often as it is sent",
        section="§8, dissertation §6.3",
        violates=(LINEARIZABLE,),
        hint="the client had no answer, and asked again",
        machine=wrong.without_sessions,
        scenario=LostAnswerScenario(),
    ),
)
