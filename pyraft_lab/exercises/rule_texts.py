"""The texts of the exercises about single rules: what each decides, where it stands, an example, and hints."""

from collections.abc import Mapping

from msgspec import Struct


class RuleText(Struct, frozen=True):
    """The text of one rule's exercise: chapter, what it decides, section, an example, hints."""

    chapter: int
    decides: str
    section: str
    example: str
    hints: tuple[str, ...]


RULE_TEXTS: Mapping[str, RuleText] = {
    "supersedes": RuleText(
        23,
        "whether a vote may replace another one. A Vote has term, node and committed (that node was elected).",
        "§5.1, §5.2",
        "Vote(term=4, node=2) replaces Vote(term=3, node=1); Vote(term=4, node=2) does not replace Vote(term=4, "
        "node=1)",
        (
            "A later term always wins. What is left is one term.",
            (
                "In one term, a leader (committed) replaces a mere vote; otherwise the old vote must be free "
                "(NO_NODE) or for "
                "the same node."
            ),
        ),
    ),
    "adopted_vote": RuleText(
        23,
        "the vote a node writes down when an answer shows a higher one: the term of the other, and whose vote?",
        "§5.1",
        "the answer shows Vote(term=7, node=3): the node is in term 7 now, and has voted for nobody in it",
        ("Seeing somebody's vote is not giving one.", "Vote(term) alone is a term without a vote."),
    ),
    "vote_refusal": RuleText(
        1,
        "whether a server refuses its vote: a VoteRefusal says why, None grants it.",
        "§5.2, §5.4.1, dissertation §4.2.3",
        "a candidate whose last entry is of term 2 asks a server whose last entry is of term 3: VoteRefusal.LOG",
        (
            "Three reasons: a leader was heard (has_heard_leader), unless request.transfer; the log; the vote itself.",
            "LogIds compare as up-to-date does: request.last < state.log.last. supersedes() compares the votes.",
        ),
    ),
    "pre_vote_refusal": RuleText(
        18,
        "the same question before a campaign: would the vote be refused if it were asked for now?",
        "dissertation §9.6",
        "a server that heard its leader a moment ago: VoteRefusal.LEASE, so nobody campaigns against a leader "
        "that is well",
        (
            "Nothing is promised here, but the reasons are those of a vote.",
            "A VoteRequest(vote=request.vote, last=request.last) asks the same.",
        ),
    ),
    "may_campaign": RuleText(
        22,
        "whether a server may become a candidate at all.",
        "§6",
        "a learner never; a server that is a voter of the committed membership, but not of the newest: yes",
        (
            "Only voters campaign.",
            "The newest membership in the log may not be committed: state.membership and state.committed_membership.",
        ),
    ),
    "answers_vote": RuleText(
        1,
        "whether an answer to a vote request belongs to the election that runs now.",
        "§5.2",
        "the candidate is in term 5; a grant that was asked for in term 4 arrives late: False",
        (
            "response.asked is the vote that was asked for.",
            "A grant must also still be the voter's own vote (response.vote); a refusal need not.",
        ),
    ),
    "has_won": RuleText(
        1,
        "whether the granted votes elect a candidate.",
        "§5.2, §6",
        "voters {1,2,3}: {1,3} is enough, {1} is not; joint {1,2,3} + {3,4,5}: {1,3,4} is enough, {3,4,5} is not",
        (
            "A majority is more than half.",
            "membership.configs holds one voter set, or two: each needs its own majority.",
        ),
    ),
    "log_matches": RuleText(
        3,
        "the consistency check: whether a follower's log holds the entry before the new ones.",
        "§5.3",
        "log 1:t1 2:t1; prev is entry 2 of term 2: False, although there is an entry at index 2",
        (
            "Index and term must agree: log.has(prev).",
            "What a snapshot covers (before log.start.index) was committed, so it agrees.",
        ),
    ),
    "new_entries": RuleText(
        3,
        "which of a leader's entries a follower appends; a conflicting entry of its own is removed by that.",
        "§5.3, Figure 2",
        "log 1 2 3 4; entries 3, 4 and 5 arrive, 3 and 4 the same: append only 5",
        (
            "Appending an entry removes what stands at its index and after it.",
            (
                "Find the first entry that the log does not have (log.has(entry.id)) after log.start.index, and "
                "return the rest."
            ),
        ),
    ),
    "conflict_hint": RuleText(
        3,
        "what a follower that refuses proposes to try next: the last of its entries that may still match.",
        "§5.3, end",
        "log 1:t1 2:t1 3:t4; prev is entry 3 of term 2: entry 2 of term 1, for an entry of term 4 cannot be in "
        "that log",
        (
            "It is an entry at or before prev, and not of a newer term than prev.",
            "The log has a method for that: its name begins with last_.",
        ),
    ),
    "next_probe": RuleText(
        3,
        "where a leader probes after a refusal: it skips its own entries that cannot match the hint.",
        "§5.3, end",
        "the hint is entry 5 of term 2, the leader's own entries 4 and 5 are of term 3: probe at 3",
        ("It is the same question as the follower's, in the leader's log.", "Return an index, not a LogId."),
    ),
    "commit_index": RuleText(
        2,
        "up to where a leader may call its log committed.",
        "§5.3, §5.4.2, Figure 8",
        "term 4, entry 2 of term 2 is on three of five disks: not committed; entry 3 of term 4 as well: both are",
        (
            "state.matched says what is on every disk; state.membership.committed_index(matched) counts.",
            "The entry at that index must be of this leader (state.log.id_at(index).leader), or nothing changes.",
            "The commit index never goes back.",
        ),
    ),
    "follower_commit": RuleText(
        2,
        "a follower's new commit index, after a message that verified its log up to `verified`.",
        "Figure 2",
        "committed 3, the leader announces 9, this message verified up to 5: 5",
        (
            "Beyond what was verified, the follower's entries may not be the leader's.",
            "And it never goes back.",
        ),
    ),
    "sendable": RuleText(
        16,
        "the last index that a leader may send to others.",
        "dissertation §10.2.1",
        "usually the end of its log, while its own disk still writes; with config.leader_restore only what the "
        "disk has",
        (
            "A leader that restarts and leads on in its term must not lose what it has sent.",
            "state.stored is the end of the log on disk.",
        ),
    ),
    "waits_for_disk": RuleText(
        16,
        "whether a message is a promise, so that it waits until the disk has what it promises.",
        "§5.1, Figure 2",
        "a granted VoteResponse and an AppendAccepted wait; a refused VoteResponse need not",
        (
            "Ask: would it still be true after a loss of power?",
            "A candidate's own vote is in its VoteRequest. A SnapshotResponse acknowledges bytes.",
            (
                "With config.leader_restore a leader's AppendRequest and HeartbeatRequest wait; HeartbeatResponse and "
                "AppendRefused only while state.stored_vote is not state.vote."
            ),
        ),
    ),
    "acked_round": RuleText(
        17,
        "the last round of heartbeats that a quorum has answered.",
        "dissertation §6.4",
        "five servers, the leader sent round 7; answers: 7, 5, 3 and 2: round 5",
        (
            (
                "It is a commit index over rounds: one.last_ack_round for one in leader.progress, and the leader's "
                "own round."
            ),
            "state.membership.committed_index counts; it never goes back.",
        ),
    ),
    "starts_lease": RuleText(
        17,
        "whether an answer starts the lease of its round: does the lease run from when the round was sent, or "
        "answered?",
        "dissertation §6.4.1",
        "round 3 was sent at 1.00 s, its last answer came at 1.30 s: the lease began at 1.00 s",
        ("When did the followers begin to refuse votes?", "They heard the leader before they answered."),
    ),
    "starts_with_vote_lease": RuleText(
        17,
        "whether a server that starts keeps the promise to refuse votes for a while.",
        "dissertation §6.4.1",
        "a follower of leader n1 restarts: it refuses votes for one election timeout; a server without a vote does not",
        (
            "Only with config.vote_lease, and only if its vote names a node.",
            "The vote is of a leader (committed) that is another node, or not yet known to lead while it is its own.",
        ),
    ),
    "is_read_safe": RuleText(
        17,
        "whether a read of a round may be served.",
        "§8, dissertation §6.4",
        "the read came in round 6, and a quorum has answered round 5: not yet",
        ("A majority that answered after the read began knows of no newer leader.", "Compare with leader.acked_round."),
    ),
    "has_valid_lease": RuleText(
        17,
        "whether a leader may answer reads alone.",
        "dissertation §6.4.1",
        "a quorum answered round 7 and only the lease of round 6 has expired: True",
        (
            "Only a Leader, and only with config.vote_lease; a cluster of one (state.is_alone) always.",
            "role.expired_round is the last round whose lease is over (-1: none); compare the round a quorum answered.",
            "_lease_round(state, role) counts only those that no TimeoutNow can turn.",
        ),
    ),
    "fires_first": RuleText(
        17,
        "which overdue timers a driver fires before it passes on an event.",
        "dissertation §6.4.1",
        "the process slept; its lease timer is overdue, and a read arrives: the timer first, or the read is stale",
        (
            "Timers that end a promise are in ENDS; timers that start something may wait.",
            "Only requests, votes, a leader's messages and TimeoutNow ask about leases: _asks_about_leases(event).",
        ),
    ),
    "read_at": RuleText(
        17,
        "the index that must be applied before a read is answered.",
        "dissertation §6.4",
        "a leader was elected just now, its noop is entry 8, it knows of commit index 5: 8",
        ("A new leader does not know what is committed.", "leader.noop is its first entry."),
    ),
    "may_change": RuleText(
        4,
        "whether a change of membership may start.",
        "§6, dissertation §4.1",
        "the last membership is entry 6, commit index 5: False",
        (
            "One change at a time: state.membership_id.index must be committed.",
            "And an entry of this leadership as well (the correction of 2015): leader.noop.",
        ),
    ),
    "next_membership": RuleText(
        4,
        "the next membership on the way to the one that was asked for.",
        "§6",
        "{1,2,3}, asked for {2,3,4}: first {1,2,3} + {2,3,4} together",
        ("Where voters change, both sets must agree for a while.", "membership.change(change, retain) knows the way."),
    ),
    "may_leave": RuleText(
        4,
        "whether a joint membership may end.",
        "§6",
        "joint in entry 6, commit index 5: not yet",
        ("It must be joint.", "And committed, as for any change: may_change(state, leader)."),
    ),
    "is_snapshot_due": RuleText(
        5,
        "whether it is time to build a snapshot.",
        "§7",
        "snapshot_logs_since_last=100, the last snapshot at 40, applied 140: yes",
        (
            "Count from the last snapshot or the last attempt (state.attempted), whichever is later.",
            (
                "Two limits, each may be None: config.snapshot_logs_since_last and config.snapshot_bytes_since_last "
                "(state.log.byte_size_at)."
            ),
        ),
    ),
    "would_interrupt_transfer": RuleText(
        5,
        "whether a newer snapshot would delete one that some follower is receiving.",
        "§7",
        "snapshot 8 is stored, a follower still receives snapshot 4: True",
        (
            "A disk keeps the stored snapshot and one more.",
            "snapshots_being_sent(state) lists them; state.disk.snapshot is the stored one.",
        ),
    ),
    "purge_upto": RuleText(
        5,
        "up to which index the log is purged after a snapshot.",
        "§7",
        "the snapshot ends at 40, keep_logs=10: 30; a follower that receives snapshot 20 needs all after 20",
        ("Keep config.keep_logs entries for slow followers.", "needed_after(state) is the end of what is being sent."),
    ),
    "purge_limit": RuleText(
        5,
        "the last index that may be purged at all, by any request.",
        "§7",
        "the snapshot ends at 40, applied is 55: 40",
        ("What is in no snapshot and no log is lost.", "See state.snapshot_last."),
    ),
    "is_snapshot_useful": RuleText(
        5,
        "whether an arriving snapshot is worth installing.",
        "§7, Figure 13",
        "committed 50, a snapshot that ends at 40 arrives late: False",
        ("An older one would take the state machine back.", "Compare its last index with the commit index."),
    ),
}
"""The text of every rule's exercise, by the name of the rule."""
