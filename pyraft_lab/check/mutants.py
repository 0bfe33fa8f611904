"""The mutants: departures from Raft, one line each, with what they break and how they are caught.

>>> mutant = MUTANTS["ignores-logs"]
>>> mutant.does, mutant.section, mutant.falls
('votes without asking whose log is longer', '§5.4.1', ('leader completeness',))
"""

from collections.abc import Mapping

from pyraft_lab.check import departures as wrong
from pyraft_lab.check.mutant import Mutant
from pyraft_lab.check.siege import Siege
from pyraft_lab.check.walk import Walk

ELECTION = "election safety"
ONE_VOTE = "one vote a term"
MATCHING = "log matching"
COMPLETENESS = "leader completeness"
MACHINE = "state machine safety"
DURABLE = "durable before answer"
BACKED = "commit is backed"
LINEAR = "linearizability"
BACKWARDS = "commit never goes back"
FORGOTTEN = "forgotten is kept"
IMPOSSIBLE = "nothing impossible"

JOINT = Walk(steps=500, change=0.06, write=0.03)
SNAPSHOTS = Walk(steps=500, snapshot=0.06, write=0.1, duplicate=0.05)
READS = Walk(read=0.08, write=0.08)
RIVALS = Walk(spell=18, timers=0.15, lazy=0.9, crash=0.0, drop=0.0, duplicate=0.0, write=0.0)
ONE_BY_ONE = {"max_append_entries": 1}

VOTES = (
    Mutant(
        name="votes-for-anybody",
        does="grants every vote it is asked for",
        section="§5.2",
        falls=(ONE_VOTE, ELECTION, COMPLETENESS),
        hint="two candidates of one term can both count this server",
        rules={"vote_refusal": wrong.votes_for_anybody},
        seed=1,
    ),
    Mutant(
        name="votes-twice",
        does="looks at the term of its vote, and not at who has it",
        section="§5.2",
        falls=(ONE_VOTE, ELECTION),
        hint="one term, two requests, one server that says yes to both",
        rules={"vote_refusal": wrong.votes_twice},
        seed=1,
    ),
    Mutant(
        name="votes-for-the-past",
        does="grants votes in terms that are over",
        section="§5.1",
        falls=(ONE_VOTE, ELECTION, COMPLETENESS),
        hint="a request was long on its way; its term has had a leader since",
        rules={"vote_refusal": wrong.votes_for_the_past},
        seed=2,
    ),
    Mutant(
        name="ignores-logs",
        does="votes without asking whose log is longer",
        section="§5.4.1",
        falls=(COMPLETENESS,),
        hint="who was away while an entry committed comes back and wins",
        rules={"vote_refusal": wrong.ignores_logs},
        seed=3,
    ),
    Mutant(
        name="compares-lengths",
        does="takes the longer log for the better one, whatever its terms",
        section="§5.4.1",
        falls=(COMPLETENESS,),
        hint="a deposed leader can have many entries that nobody else ever saw",
        rules={"vote_refusal": wrong.compares_lengths},
        seed=148,
    ),
    Mutant(
        name="compares-terms",
        does="compares the terms of the last entries, and forgets their indexes",
        section="§5.4.1",
        falls=(COMPLETENESS,),
        hint="two logs end in the same term; one of them has the committed entry, too",
        rules={"vote_refusal": wrong.compares_terms},
        seed=47,
    ),
    Mutant(
        name="trusts-transfers",
        does="lets a candidate that the leader chose pass without a look at its log",
        section="dissertation §3.10",
        falls=(COMPLETENESS,),
        hint="the order to campaign was late; the leader has gone on writing without its heir",
        rules={"vote_refusal": wrong.trusts_transfers},
        trial=Walk(transfer=0.06, write=0.08),
        seed=269,
    ),
    Mutant(
        name="counts-any-grant",
        does="counts every grant that arrives, whichever vote it was for",
        section="§5.2",
        falls=(COMPLETENESS, ELECTION),
        hint="a grant of an election lost long ago arrives in the middle of the next one",
        rules={"echoes": wrong.counts_any_grant},
        seed=32,
    ),
    Mutant(
        name="half-elects",
        does="takes half of the voters for a majority when it counts votes",
        section="§5.2",
        falls=(ELECTION, COMPLETENESS),
        hint="four servers have two halves",
        rules={"has_won": wrong.half_elects},
        nodes=4,
        seed=63,
    ),
    Mutant(
        name="votes-before-disk",
        does="answers a vote request first, and saves its vote then",
        section="§5.1, Figure 2",
        falls=(DURABLE, ONE_VOTE),
        hint="what does it know of its vote after a loss of power?",
        rules={"waits_for_disk": wrong.votes_before_disk},
        seed=0,
    ),
)

LOGS = (
    Mutant(
        name="accepts-before-disk",
        does="acknowledges entries first, and writes them then",
        section="§5.3, Figure 2",
        falls=(DURABLE, BACKED),
        hint="the leader counts a copy that a loss of power takes back",
        rules={"waits_for_disk": wrong.accepts_before_disk},
        seed=1,
    ),
    Mutant(
        name="fits-by-length",
        does="checks that there is an entry before the new ones, and not which",
        section="§5.3",
        falls=(MATCHING, MACHINE, IMPOSSIBLE, DURABLE),
        hint="two logs of one length and of different terms",
        rules={"fits": wrong.fits_by_length},
        seed=44,
    ),
    Mutant(
        name="writes-again",
        does="truncates its log on every append, also where the entries are there already",
        section="§5.3",
        falls=(BACKED, IMPOSSIBLE, DURABLE),
        hint="an append that is late, or arrives twice, cuts off what came behind it",
        rules={"unknown": wrong.takes_all},
        trial=Walk(duplicate=0.05),
        seed=6,
    ),
    Mutant(
        name="keeps-conflicts",
        does="leaves what it has as it is, and takes only entries beyond its end",
        section="§5.3",
        falls=(DURABLE, MATCHING, MACHINE),
        hint="a follower whose last entry nobody else has",
        rules={"unknown": wrong.keeps_conflicts},
        seed=22,
    ),
    Mutant(
        name="obeys-old-leaders",
        does="follows whoever was elected once, in whatever term",
        section="§5.1",
        falls=(ONE_VOTE, IMPOSSIBLE, MATCHING, COMPLETENESS, MACHINE, DURABLE),
        hint="the heartbeat of a leader that was deposed",
        rules={"covers": wrong.obeys_old_leaders},
        seed=19,
    ),
    Mutant(
        name="resumes-unflushed",
        does="sends entries before its own disk has them, and leads on in its term after a crash",
        section="dissertation §10.2.1",
        falls=(MATCHING, MACHINE, DURABLE),
        hint="one term, one index, two entries",
        rules={"sendable": wrong.sends_all, "waits_for_disk": wrong.promises_only},
        settings={"leader_restore": True},
        seed=49,
    ),
)

COMMIT = (
    Mutant(
        name="commits-old-terms",
        does="commits an entry of another leader as soon as a majority holds it",
        section="§5.4.2, Figure 8",
        falls=(COMPLETENESS, MACHINE),
        hint="three servers; the first leads, then the third, then the first again",
        rules={"commit_index": wrong.commits_old_terms},
        trial=RIVALS,
        settings=ONE_BY_ONE,
    ),
    Mutant(
        name="commits-what-it-has",
        does="commits as far as the leader has, also where its own log was not compared",
        section="§5.3, Figure 2",
        falls=(MACHINE, COMPLETENESS),
        hint="the follower's last entries are not the leader's",
        rules={"follower_commit": wrong.commits_what_it_has, "hint": wrong.asks_for_all},
        trial=Walk(write=0.1),
        settings=ONE_BY_ONE,
        seed=124,
    ),
    Mutant(
        name="counts-its-memory",
        does="counts its own copy of an entry before it is on its disk",
        section="dissertation §10.2.1",
        falls=(BACKED,),
        hint="of three servers one follower has it on disk",
        rules={"commit_index": wrong.counts_its_memory},
        seed=12,
    ),
    Mutant(
        name="half-commits",
        does="takes half of the voters for a majority when it counts copies",
        section="§5.3",
        falls=(BACKED,),
        hint="four servers have two halves",
        rules={"commit_index": wrong.half_commits},
        nodes=4,
        seed=0,
    ),
    Mutant(
        name="learners-commit",
        does="counts the copies of learners",
        section="dissertation §4.2.1",
        falls=(BACKED,),
        hint="three of five have it, and a majority of the voters has not",
        rules={"commit_index": wrong.learners_commit},
        learners=2,
        seed=4,
    ),
)

MEMBERSHIP = (
    Mutant(
        name="any-set-elects",
        does="while joint, is content with a majority of one of the two voter sets",
        section="§6",
        falls=(ELECTION, COMPLETENESS),
        hint="the old majority and the new one need not know of each other",
        rules={"has_won": wrong.any_set_elects},
        trial=JOINT,
        learners=2,
    ),
    Mutant(
        name="union-elects",
        does="while joint, counts old and new voters as one set when it counts votes",
        section="§6",
        falls=(ELECTION, COMPLETENESS),
        hint="a majority of all may be without a majority of the old ones",
        rules={"has_won": wrong.union_elects},
        trial=JOINT,
        learners=2,
    ),
    Mutant(
        name="union-commits",
        does="while joint, counts old and new voters as one set when it counts copies",
        section="§6",
        falls=(BACKED, COMPLETENESS),
        hint="a majority of all may be without a majority of the old ones",
        rules={"commit_index": wrong.union_commits},
        trial=JOINT,
        learners=2,
    ),
    Mutant(
        name="new-voters-commit",
        does="while joint, counts only the copies of the new voters",
        section="§6",
        falls=(BACKED, COMPLETENESS),
        hint="the old voters still elect",
        rules={"commit_index": wrong.new_voters_commit},
        trial=JOINT,
        learners=2,
    ),
    Mutant(
        name="changes-at-once",
        does="goes from the old voters to the new ones without a joint membership between",
        section="§6, Figure 10",
        falls=(COMPLETENESS, ELECTION, BACKED),
        hint="who has not heard of the change elects among the old voters",
        rules={"next_membership": wrong.changes_at_once},
        trial=JOINT,
        learners=2,
    ),
    Mutant(
        name="changes-too-soon",
        does="adds and removes voters one by one, before anything of its own term is committed",
        section="dissertation §4.1, correction of 2015",
        falls=(COMPLETENESS, ELECTION),
        hint="two leaders begin from the same voters; one adds a server, the other removes one",
        rules={"next_membership": wrong.changes_by_one, "may_change": wrong.changes_too_soon},
        trial=Walk(steps=600, spell=20, lazy=0.85, change=0.1, bold=0.0, write=0.0, crash=0.0),
        nodes=4,
        learners=1,
    ),
    Mutant(
        name="changes-any-time",
        does="begins a change of membership while the last one is not committed",
        section="§6, dissertation §4.1",
        falls=(COMPLETENESS, ELECTION, BACKED),
        hint="two steps are further than one",
        rules={"may_change": wrong.changes_any_time},
        trial=JOINT,
        learners=2,
    ),
    Mutant(
        name="leaves-at-once",
        does="ends a joint membership before it is committed",
        section="§6",
        falls=(COMPLETENESS, ELECTION, BACKED),
        hint="the old voters may never have heard of it",
        rules={"may_leave": wrong.leaves_at_once},
        trial=JOINT,
        learners=2,
    ),
    Mutant(
        name="counts-itself",
        does="counts its own copy, although the membership no longer names it",
        section="dissertation §4.2.2",
        falls=(BACKED,),
        hint="a leader manages a cluster that it does not belong to any more",
        rules={"commit_index": wrong.counts_itself},
        trial=JOINT,
        learners=2,
    ),
)

SNAPSHOT = (
    Mutant(
        name="installs-any-snapshot",
        does="installs every snapshot that arrives, however old",
        section="§7, Figure 13",
        falls=(BACKWARDS,),
        hint="a snapshot that arrives twice",
        rules={"is_snapshot_useful": wrong.installs_any},
        trial=SNAPSHOTS,
        settings={"keep_logs": 0},
    ),
    Mutant(
        name="forgets-applied",
        does="forgets whatever is applied, whether or not the snapshot has it",
        section="§7",
        falls=(FORGOTTEN, DURABLE),
        hint="what is neither in the log nor in the snapshot?",
        rules={"covered": wrong.forgets_applied, "purge_upto": wrong.forgets_applied},
        trial=SNAPSHOTS,
        settings={"keep_logs": 0},
    ),
)

READ = (
    Mutant(
        name="reads-at-once",
        does="answers a read without asking anybody whether it still leads",
        section="§8, dissertation §6.4",
        falls=(LINEAR,),
        hint="a leader that nobody has told of its successor",
        rules={"is_read_safe": wrong.reads_at_once},
        trial=Siege("cut off", "index"),
    ),
    Mutant(
        name="one-answer-proves",
        does="takes the answer of any one server to a round for a majority's",
        section="§8, dissertation §6.4",
        falls=(LINEAR,),
        hint="a leader and a learner are cut off from two voters",
        rules={"proved_round": wrong.one_answer_proves},
        trial=Siege("divided", "index"),
        learners=1,
    ),
    Mutant(
        name="reads-early",
        does="answers reads before an entry of its own term is committed",
        section="§8, dissertation §6.4",
        falls=(LINEAR,),
        hint="a new leader has all that is committed, and does not know what that is",
        rules={"read_at": wrong.reads_early},
        trial=READS,
    ),
)

LEASES = (
    Mutant(
        name="leads-for-ever",
        does="reads by a lease that never runs out",
        section="dissertation §6.4.1",
        falls=(LINEAR,),
        hint="cut it off, elect another, write there, read here",
        rules={"lease_holds": wrong.leads_for_ever},
        trial=Siege("cut off"),
    ),
    Mutant(
        name="allows-no-drift",
        does="has leases as long as its followers' loyalty, as if all clocks were the same",
        section="dissertation §6.4.1",
        falls=(LINEAR,),
        hint="the leader's clock is slow, the others' are fast",
        config={"clock_drift": 0.0},
        trial=Siege("cut off"),
    ),
    Mutant(
        name="is-disloyal",
        does="votes against a leader it has just heard from, while others read by that leader's lease",
        section="dissertation §4.2.3, §6.4.1",
        falls=(LINEAR,),
        hint="a lease is worth what its followers' promise is worth",
        rules={"vote_refusal": wrong.is_disloyal},
        trial=Siege("cut off"),
        nodes=5,
    ),
    Mutant(
        name="boots-free",
        does="has forgotten after a restart that it promised a leader to be loyal",
        section="dissertation §6.4.1",
        falls=(LINEAR,),
        hint="a restart takes a few milliseconds, a lease a hundred",
        rules={"boots_loyal": wrong.boots_free},
        trial=Siege("restarted"),
        nodes=5,
    ),
    Mutant(
        name="keeps-its-lease",
        does="trusts its lease although it has asked another server to depose it",
        section="dissertation §3.10, §6.4.1",
        falls=(LINEAR,),
        hint="an order to campaign cannot be called back",
        rules={"lease_holds": wrong.keeps_its_lease},
        trial=Siege("transferred"),
    ),
    Mutant(
        name="starts-when-answered",
        does="counts its lease from when the answers came, not from when it asked",
        section="dissertation §6.4.1",
        falls=(LINEAR,),
        hint="the answer was long on its way",
        rules={"starts_lease": wrong.starts_when_answered},
        trial=Siege("delayed"),
    ),
)

SESSIONS = (
    Mutant(
        name="forgets-sessions",
        does="carries a command out as often as it is sent",
        section="§8, dissertation §6.3",
        falls=(LINEAR,),
        hint="the client had no answer, and asked again",
        machine=wrong.forgetful,
        trial=Walk(retry=0.05, write=0.06, read=0.06),
    ),
)

MUTANTS: Mapping[str, Mutant] = {
    one.name: one for part in (VOTES, LOGS, COMMIT, MEMBERSHIP, SNAPSHOT, READ, LEASES, SESSIONS) for one in part
}
"""Every mutant by name, part by part of Raft."""
