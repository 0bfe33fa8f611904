"""Mistakes in the code around the rules: engine, machine, storage, client and driver."""

from collections.abc import Mapping

from pyraft_lab.check.mutants.code_mutant import CodeMutant, Edit

ENGINE = (
    CodeMutant(
        name="boots-without-its-vote",
        part="engine",
        description="forgets at a restart to whom it gave its vote",
        section="§5.1, Figure 2",
        hint="one term, two requests, a restart between them",
        edit=Edit(
            "pyraft_lab.engine.startup:start",
            "disk=disk,",
            "disk=type(disk)(log=disk.log, snapshot=disk.snapshot),",
        ),
        seed=2,
    ),
    CodeMutant(
        name="boots-without-its-snapshot",
        part="engine",
        description="starts with an empty machine although it has a snapshot",
        section="§7",
        hint="what is neither in the log nor in the machine?",
        edit=Edit(
            "pyraft_lab.engine.startup:boot",
            "turn.emit(RestoreMachine(snapshot))",
            "pass",
        ),
        seed=8,
    ),
    CodeMutant(
        name="never-learns-terms",
        part="engine",
        description="ignores the higher terms in answers",
        section="§5.1",
        hint="a deposed leader hears of its successor from its followers",
        edit=Edit(
            "pyraft_lab.engine.election:adopt_vote",
            "if heard_leader or",
            "if True or heard_leader or",
        ),
        seed=14,
    ),
    CodeMutant(
        name="leads-without-a-quorum",
        part="engine",
        description="leads on although no majority answers",
        section="dissertation §6.2",
        hint="clients wait for a leader that can commit nothing",
        edit=Edit(
            "pyraft_lab.engine.election:on_quorum_timer",
            "if has_lost_lease(turn.state):",
            "if False:",
        ),
        seed=7,
    ),
    CodeMutant(
        name="sleeps-after-a-vote",
        part="engine",
        description="stops its election timer when it gives its vote",
        section="§5.2",
        hint="the candidate crashes before it wins",
        edit=Edit(
            "pyraft_lab.engine.election:on_vote_request",
            "turn.set_timer(ELECTION)",
            "turn.cancel_timer(ELECTION)",
        ),
    ),
    CodeMutant(
        name="obeys-late-orders",
        part="engine",
        description="campaigns on an order of a transfer that has failed since",
        section="dissertation §3.10, §6.4.1",
        hint="the leader goes on, and trusts its lease again",
        edit=Edit(
            "pyraft_lab.engine.election:on_timeout_now",
            "if message.last in (None, turn.log.last):",
            "if True:",
        ),
        seed=9,
    ),
    CodeMutant(
        name="breaks-its-own-lease",
        part="engine",
        description="counts its own vote although it has just heard a leader",
        section="dissertation §4.2.3, §6.4.1",
        hint="the promise of a lease binds the candidate too",
        edit=Edit(
            "pyraft_lab.engine.election:_start_election",
            "has_heard_leader(turn.state) and not transfer",
            "False",
        ),
        seed=43,
    ),
    CodeMutant(
        name="forgets-waiting-reads",
        part="engine",
        description="does not answer its reads when it is deposed",
        section="§8",
        hint="who tells the client to ask somebody else?",
        edit=Edit(
            "pyraft_lab.engine.election:_stop_leading",
            "if waiting:",
            "if False:",
        ),
        seed=3,
    ),
    CodeMutant(
        name="gives-up-at-once",
        part="engine",
        description="sends what was lost never again",
        section="§5.3",
        hint="followers may be slow, run slowly, or packets may be lost",
        edit=Edit(
            "pyraft_lab.engine.replication:on_retry_timer",
            "if progress is not None and",
            "if progress is None and",
        ),
    ),
    CodeMutant(
        name="trusts-heartbeats",
        part="engine",
        description="takes a heartbeat's commit index for its whole log",
        section="§5.3",
        hint="a heartbeat compares no entries",
        edit=Edit(
            "pyraft_lab.engine.replication:on_heartbeat_request",
            "commit(turn, request.commit, request.matched.index)",
            "commit(turn, turn.log.last.index, turn.log.last.index)",
        ),
        seed=3,
    ),
    CodeMutant(
        name="keeps-the-conflict",
        part="engine",
        description="keeps the first conflicting entry when it truncates",
        section="§5.3",
        hint="one index too far",
        edit=Edit(
            "pyraft_lab.engine.replication:on_append_request",
            "turn.truncate(entries[0].index - 1)",
            "turn.truncate(entries[0].index); entries = entries[1:]",
        ),
        seed=3,
    ),
    CodeMutant(
        name="applies-again",
        part="engine",
        description="applies again what an installed snapshot covers",
        section="§7",
        hint="the machine has it already",
        edit=Edit(
            "pyraft_lab.engine.turn:Turn.install",
            "committed=meta.last.index, applied=meta.last.index",
            "committed=meta.last.index",
        ),
        seed=7,
    ),
    CodeMutant(
        name="snapshots-the-future",
        part="engine",
        description="puts its present membership into a snapshot of the past",
        section="§7",
        hint="a change of voters that is not committed yet",
        edit=Edit(
            "pyraft_lab.engine.compaction:build",
            "state.membership_at(at.index), state.membership_id_at(at.index)",
            "state.membership, state.membership_id",
        ),
        seed=13,
    ),
    CodeMutant(
        name="keeps-a-wrong-suffix",
        part="engine",
        description="keeps entries after a snapshot that do not follow it",
        section="§7",
        hint="they were another leader's",
        edit=Edit(
            "pyraft_lab.engine.log:Log.purge",
            "if not self.has(upto) or upto == self.last:",
            "if upto.index >= self.last.index or upto == self.last:",
        ),
        seed=6,
    ),
    CodeMutant(
        name="asks-before-it-reads",
        part="engine",
        description="takes the answers to an earlier round for a read",
        section="§8, dissertation §6.4",
        hint="they may have been sent before a later leader wrote",
        edit=Edit(
            "pyraft_lab.engine.requests:_read_by_index",
            "        round = turn.leader.round\n    else",
            "        round = turn.leader.round - 1\n    else",
        ),
        seed=10,
    ),
    CodeMutant(
        name="transfers-for-ever",
        part="engine",
        description="waits for a transfer without an end",
        section="dissertation §3.10",
        hint="the target is down, and clients are refused",
        edit=Edit(
            "pyraft_lab.engine.requests:transfer",
            "turn.set_timer(TRANSFER)",
            "pass",
        ),
        seed=3,
    ),
    CodeMutant(
        name="ignores-new-members",
        part="engine",
        description="does not send entries to servers that it adds",
        section="§6",
        hint="a learner never catches up",
        edit=Edit(
            "pyraft_lab.engine.reconfiguration:propose_membership",
            "sync_progress(turn)",
            "pass",
        ),
        seed=7,
    ),
)
MACHINE = (
    CodeMutant(
        name="snapshots-without-sessions",
        part="machine",
        description="leaves the sessions out of its snapshots",
        section="§8, dissertation §6.3",
        hint="the answer was lost, then the log was purged, then the client asked again",
        edit=Edit(
            "pyraft_lab.machine:Sessions.snapshot",
            "in sorted((one.used, client) for client, one in self.sessions.items())",
            "in ()",
        ),
        seed=7,
    ),
    CodeMutant(
        name="serves-reads-early",
        part="machine",
        description="answers a read before it has applied what the read must see",
        section="§8",
        hint="the index is known, the state is not there yet",
        edit=Edit(
            "pyraft_lab.pending_requests:_serve",
            "if read.at.index <= pending.applied]",
            "if read.at.index <= pending.applied + 2]",
        ),
        seed=4,
    ),
)
STORAGE = (
    CodeMutant(
        name="loses-votes",
        part="storage",
        description="does not write votes to the database",
        section="§5.1, Figure 2",
        hint="kill -9",
        edit=Edit(
            "pyraft_lab.storage.database:carry_out",
            'save_fact(database, "vote", vote)',
            "pass",
        ),
        seed=6,
    ),
    CodeMutant(
        name="accepts-damage",
        part="storage",
        description="reads rows without comparing their checksums",
        section="§5.1",
        hint="a bit flips",
        edit=Edit(
            "pyraft_lab.storage.database:_read",
            "if not isinstance(body, bytes) or crc32(body) != checksum:",
            "if not isinstance(body, bytes):",
        ),
        seed=6,
    ),
    CodeMutant(
        name="accepts-a-short-log",
        part="storage",
        description="does not notice that the end of the log is missing",
        section="§5.1",
        hint="an acknowledged entry is gone",
        edit=Edit(
            "pyraft_lab.storage.database:_contents",
            'elif _pragma(database, "user_version") > 1:',
            "elif False:",
        ),
        seed=6,
    ),
    CodeMutant(
        name="swaps-snapshots",
        part="storage",
        description="takes the snapshot before the newest for the stored one",
        section="§7",
        hint="a transfer reads the other one",
        edit=Edit(
            "pyraft_lab.storage.snapshots:SnapshotFiles.keep",
            "(stored, *self.kept[:1])",
            "(*self.kept[:1], stored)",
        ),
        seed=6,
    ),
    CodeMutant(
        name="appends-repeated-chunks",
        part="storage",
        description="writes a chunk that arrives again after the others",
        section="§7",
        hint="the snapshot is longer than it should be",
        edit=Edit(
            "pyraft_lab.storage.snapshots:SnapshotFiles.collect",
            "file.truncate(offset)",
            "pass",
        ),
        seed=6,
    ),
    CodeMutant(
        name="publishes-unsynced",
        part="storage",
        description="gives a snapshot its name before its bytes are on the disk",
        section="§5.1, §7",
        hint="a loss of power after the log was purged",
        edit=Edit(
            "pyraft_lab.storage.snapshots:SnapshotFiles.finish",
            "os.fsync(file.fileno())",
            "pass",
        ),
        seed=6,
    ),
)
CLIENT = (
    CodeMutant(
        name="takes-a-new-serial",
        part="client",
        description="repeats a command under another serial",
        section="§8, dissertation §6.3",
        hint="the first one may have been applied",
        edit=Edit(
            "pyraft_lab.client.machine:_release",
            "_change(turn, batch, request=None, is_uncertain=True)",
            "_change(turn, batch, request=None, serial=batch.serial + 1, sent=0)",
        ),
        seed=5,
    ),
    CodeMutant(
        name="uses-a-serial-twice",
        part="client",
        description="now and then gives two commands the same serial",
        section="§8, dissertation §6.3",
        hint="the second gets the first one's answer, and is not applied",
        edit=Edit(
            "pyraft_lab.client.sending:_send_new",
            "next=state.session.next + 1",
            "next=state.session.next + (state.session.next % 3 > 0)",
        ),
        seed=4,
    ),
)
DRIVER = (
    CodeMutant(
        name="sends-before-it-syncs",
        part="driver",
        description="sends promises while the disk is still writing them",
        section="§5.1",
        hint="a loss of power after the answer",
        edit=Edit(
            "pyraft_lab.runtime.driver:Driver._send",
            "self.disk.after(lambda: self._queue_message(dst, envelope, received))",
            "self._queue_message(dst, envelope, received)",
        ),
        seed=4,
    ),
    CodeMutant(
        name="reports-before-it-syncs",
        part="driver",
        description="tells the engine that entries are on disk when they are on their way",
        section="dissertation §10.2.1",
        hint="the leader counts its own copy",
        edit=Edit(
            "pyraft_lab.runtime.disk_queue:DiskQueue.write",
            "self._reached = reached, cause",
            "self._reached = reached, cause; self._stored(reached, cause)",
        ),
        seed=4,
    ),
    CodeMutant(
        name="trusts-its-loop",
        part="driver",
        description="asks its event loop, and not the clock, whether a lease is over",
        section="dissertation §6.4.1",
        hint="a process that was stopped for a while",
        edit=Edit(
            "pyraft_lab.runtime.driver:Driver._step_after_due_timers",
            "while first := self.engine.rules.fires_first(event, overdue):",
            "while first := ():",
        ),
        seed=24,
    ),
)

CODE_MUTANTS: Mapping[str, CodeMutant] = {
    one.name: one for part in (ENGINE, MACHINE, STORAGE, CLIENT, DRIVER) for one in part
}
"""Every mutant in the code around the rules, by name."""
