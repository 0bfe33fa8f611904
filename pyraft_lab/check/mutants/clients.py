"""Mistakes that clients would notice (§7, §8): snapshots, reads, leases and sessions."""

from pyraft_lab.check import departures as wrong
from pyraft_lab.check.failure import LINEARIZABLE
from pyraft_lab.check.mutant import Mutant
from pyraft_lab.check.siege import Siege
from pyraft_lab.check.walk import Walk
from pyraft_lab.sim.safety import COMMIT_STAYS, DURABLE_BEFORE_ANSWER, SNAPSHOT_COVERS

SNAPSHOTS = Walk(steps=500, snapshot=0.06, write=0.1, duplicate=0.05)
READS = Walk(read=0.08, write=0.08)

SNAPSHOT = (
    Mutant(
        name="installs-any-snapshot",
        does="installs every snapshot that arrives, however old",
        section="§7, Figure 13",
        falls=(COMMIT_STAYS,),
        hint="a snapshot that arrives twice",
        rules={"is_snapshot_useful": wrong.installs_any},
        trial=SNAPSHOTS,
        settings={"keep_logs": 0},
        seed=316,
    ),
    Mutant(
        name="forgets-applied",
        does="forgets whatever is applied, whether or not the snapshot has it",
        section="§7",
        falls=(SNAPSHOT_COVERS, DURABLE_BEFORE_ANSWER),
        hint="what is neither in the log nor in the snapshot?",
        rules={"covered": wrong.forgets_applied, "purge_upto": wrong.forgets_applied},
        trial=SNAPSHOTS,
        settings={"keep_logs": 0},
        seed=4,
    ),
)

READ = (
    Mutant(
        name="reads-at-once",
        does="answers a read without asking anybody whether it still leads",
        section="§8, dissertation §6.4",
        falls=(LINEARIZABLE,),
        hint="a leader that nobody has told of its successor",
        rules={"is_read_safe": wrong.reads_at_once},
        trial=Siege("cut off", "index"),
    ),
    Mutant(
        name="one-answer-proves",
        does="takes the answer of any one server to a round for a majority's",
        section="§8, dissertation §6.4",
        falls=(LINEARIZABLE,),
        hint="a leader and a learner are cut off from two voters",
        rules={"proved_round": wrong.one_answer_proves},
        trial=Siege("divided", "index"),
        learners=1,
    ),
    Mutant(
        name="reads-early",
        does="answers reads before an entry of its own term is committed",
        section="§8, dissertation §6.4",
        falls=(LINEARIZABLE,),
        hint="a new leader has all that is committed, and does not know what that is",
        rules={"read_at": wrong.reads_early},
        trial=READS,
        seed=0,
    ),
)

LEASES = (
    Mutant(
        name="leads-for-ever",
        does="reads by a lease that never runs out",
        section="dissertation §6.4.1",
        falls=(LINEARIZABLE,),
        hint="cut it off, elect another, write there, read here",
        rules={"lease_holds": wrong.leads_for_ever},
        trial=Siege("cut off"),
    ),
    Mutant(
        name="allows-no-drift",
        does="has leases as long as its followers' loyalty, as if all clocks were the same",
        section="dissertation §6.4.1",
        falls=(LINEARIZABLE,),
        hint="the leader's clock is slow, the others' are fast",
        config={"clock_drift": 0.0},
        trial=Siege("cut off"),
    ),
    Mutant(
        name="is-disloyal",
        does="votes against a leader it has just heard from, while others read by that leader's lease",
        section="dissertation §4.2.3, §6.4.1",
        falls=(LINEARIZABLE,),
        hint="a lease is worth what its followers' promise is worth",
        rules={"vote_refusal": wrong.is_disloyal},
        trial=Siege("cut off"),
        nodes=5,
    ),
    Mutant(
        name="boots-free",
        does="has forgotten after a restart that it promised a leader to be loyal",
        section="dissertation §6.4.1",
        falls=(LINEARIZABLE,),
        hint="a restart takes a few milliseconds, a lease a hundred",
        rules={"boots_loyal": wrong.boots_free},
        trial=Siege("restarted"),
        nodes=5,
    ),
    Mutant(
        name="keeps-its-lease",
        does="trusts its lease although it has asked another server to depose it",
        section="dissertation §3.10, §6.4.1",
        falls=(LINEARIZABLE,),
        hint="an order to campaign cannot be called back",
        rules={"lease_holds": wrong.keeps_its_lease},
        trial=Siege("transferred"),
    ),
    Mutant(
        name="starts-when-answered",
        does="counts its lease from when the answers came, not from when it asked",
        section="dissertation §6.4.1",
        falls=(LINEARIZABLE,),
        hint="the answer was long on its way",
        rules={"starts_lease": wrong.starts_when_answered},
        trial=Siege("delayed"),
        seed=2,
    ),
    Mutant(
        name="counts-ticks",
        does="takes a lease for valid until its own timer says otherwise, however long it stood still",
        section="dissertation §6.4.1",
        falls=(LINEARIZABLE,),
        hint="a leader that sleeps for a while, and is asked before it looks at the clock",
        rules={"fires_first": wrong.counts_ticks},
        trial=Siege("paused"),
    ),
)

SESSIONS = (
    Mutant(
        name="forgets-sessions",
        does="carries a command out as often as it is sent",
        section="§8, dissertation §6.3",
        falls=(LINEARIZABLE,),
        hint="the client had no answer, and asked again",
        machine=wrong.forgetful,
        trial=Walk(retry=0.05, write=0.06, read=0.06),
        seed=0,
    ),
)
