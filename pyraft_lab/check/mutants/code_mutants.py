"""Mistakes in the code around the rules: machine, storage, client and driver, and the table of all of them."""

from collections.abc import Mapping

from pyraft_lab.check.mutants.code_mutant import CodeMutant, Edit
from pyraft_lab.check.mutants.engine_code import ENGINE
from pyraft_lab.check.mutants.engine_duties import DUTIES
from pyraft_lab.check.mutants.promises import PROMISES

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
        seed=17,
    ),
    CodeMutant(
        name="serves-reads-early",
        part="machine",
        description="answers a read before it has applied what the read must see",
        section="§8",
        hint="the index is known, but the machine has not got there",
        edit=Edit(
            "pyraft_lab.pending_requests:_serve",
            "if read.at.index <= pending.applied]",
            "if read.at.index <= pending.applied + 2]",
        ),
        seed=5,
    ),
    CodeMutant(
        name="restores-onto-the-old",
        part="machine",
        description="restores a snapshot onto the keys that are there",
        section="§7",
        hint="a key that was deleted meanwhile",
        edit=Edit(
            "pyraft_lab.machine:KeyValue.restore",
            "self._base, self._changes = table, {}",
            "self._base, self._changes = {**self.data, **table}, {}",
        ),
        seed=17,
    ),
    CodeMutant(
        name="drops-empty-values",
        part="machine",
        description="leaves empty values out of its snapshots",
        section="§7",
        hint="an empty text is a value",
        edit=Edit(
            "pyraft_lab.machine:KeyValue.snapshot",
            "sorted(self.data.items(),",
            "sorted(((key, value) for key, value in self.data.items() if value),",
        ),
        seed=28,
    ),
    CodeMutant(
        name="answers-for-others",
        part="machine",
        description="gives every caller the answer of the last entry in its piece",
        section="§5.3",
        hint="entries are applied several at a time",
        edit=Edit(
            "pyraft_lab.pending_requests:_answers",
            "results[place])",
            "results[-1])",
        ),
        seed=5,
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
        seed=10,
    ),
    CodeMutant(
        name="accepts-damage",
        part="storage",
        description="reads rows without comparing their checksums",
        section="§5.1",
        hint="one bit on the disk changes",
        edit=Edit(
            "pyraft_lab.storage.database:_read",
            "if not isinstance(body, bytes) or crc32(body) != checksum:",
            "if not isinstance(body, bytes):",
        ),
        seed=10,
    ),
    CodeMutant(
        name="accepts-a-short-log",
        part="storage",
        description="does not notice that the end of the log is missing",
        section="§5.1",
        hint="an acknowledged entry is lost",
        edit=Edit(
            "pyraft_lab.storage.database:_contents",
            'elif _pragma(database, "user_version") > 1:',
            "elif False:",
        ),
        seed=10,
    ),
    CodeMutant(
        name="swaps-snapshots",
        part="storage",
        description="reads the snapshot before the newest one in place of it",
        section="§7",
        hint="a transfer reads the other one",
        edit=Edit(
            "pyraft_lab.storage.snapshots:SnapshotFiles.keep",
            "(stored, *self.kept[:1])",
            "(*self.kept[:1], stored)",
        ),
        seed=10,
    ),
    CodeMutant(
        name="appends-repeated-chunks",
        part="storage",
        description="appends a chunk that arrives twice, instead of replacing it",
        section="§7",
        hint="the snapshot becomes longer than it should be",
        edit=Edit(
            "pyraft_lab.storage.snapshots:SnapshotFiles.collect",
            "file.truncate(offset)",
            "pass",
        ),
        seed=10,
    ),
    CodeMutant(
        name="publishes-unsynced",
        part="storage",
        description="names a snapshot file before its bytes are on the disk",
        section="§5.1, §7",
        hint="a power failure after the log was purged",
        edit=Edit(
            "pyraft_lab.storage.snapshots:SnapshotFiles.finish",
            "os.fsync(file.fileno())",
            "pass",
        ),
        seed=10,
    ),
    CodeMutant(
        name="forgets-the-directory",
        part="storage",
        description="syncs a new snapshot, and not the directory that names it",
        section="§5.1, §7",
        hint="a loss of power, and the file is gone",
        edit=Edit(
            "pyraft_lab.storage.snapshots:sync_directory",
            'if os.name == "nt":',
            "if True:",
        ),
        seed=10,
    ),
    CodeMutant(
        name="syncs-too-early",
        part="storage",
        description="syncs a snapshot while its bytes are still in memory",
        section="§5.1, §7",
        hint="what a file object holds back",
        edit=Edit(
            "pyraft_lab.storage.snapshots:SnapshotFiles.put",
            "file.flush()",
            "pass",
        ),
        seed=10,
    ),
    CodeMutant(
        name="shares-its-directory",
        part="storage",
        description="lets two nodes use one directory",
        section="§5.1",
        hint="two processes after a careless restart",
        edit=Edit(
            "pyraft_lab.storage.sqlite:_locked",
            'lock.execute("BEGIN EXCLUSIVE")',
            "pass",
        ),
        seed=10,
    ),
)
CLIENT = (
    CodeMutant(
        name="takes-a-new-serial",
        part="client",
        description="repeats a command under another serial",
        section="§8, dissertation §6.3",
        hint="the first attempt may have been applied",
        edit=Edit(
            "pyraft_lab.client.machine:_release",
            "_change(turn, batch, request=None, is_uncertain=True)",
            "_change(turn, batch, request=None, serial=batch.serial + 1, sent=0)",
        ),
        seed=0,
    ),
    CodeMutant(
        name="uses-a-serial-twice",
        part="client",
        description="sometimes gives two commands the same serial",
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
        hint="a power failure after the answer",
        edit=Edit(
            "pyraft_lab.runtime.driver:Driver._send",
            "self.disk.after(lambda: self._queue_message(dst, envelope, received))",
            "self._queue_message(dst, envelope, received)",
        ),
        seed=1,
    ),
    CodeMutant(
        name="reports-before-it-syncs",
        part="driver",
        description="tells the engine that entries are on disk while they are still being written",
        section="dissertation §10.2.1",
        hint="the leader counts its own copy",
        edit=Edit(
            "pyraft_lab.runtime.disk_queue:DiskQueue.write",
            "self._reached = reached, cause",
            "self._reached = reached, cause; self._stored(reached, cause)",
        ),
        seed=1,
    ),
    CodeMutant(
        name="trusts-its-loop",
        part="driver",
        description="asks its event loop, and not the clock, whether a lease has expired",
        section="dissertation §6.4.1",
        hint="a process that was stopped for a while",
        edit=Edit(
            "pyraft_lab.runtime.driver:Driver._step_after_due_timers",
            "while first := self.engine.rules.fires_first(event, overdue):",
            "while first := ():",
        ),
        seed=82,
    ),
    CodeMutant(
        name="promises-while-busy",
        part="driver",
        description="sends promises while the batch before them is being written",
        section="§5.1",
        hint="the queue is empty, and the disk is not done",
        edit=Edit(
            "pyraft_lab.runtime.disk_queue:DiskQueue._is_waiting",
            "self._jobs or self._is_busy",
            "self._jobs",
        ),
        seed=1,
    ),
    CodeMutant(
        name="snapshots-the-living",
        part="driver",
        description="builds a snapshot of the machine that goes on applying entries",
        section="§7",
        hint="serializing takes time",
        edit=Edit(
            "pyraft_lab.runtime.applier:Applier._one",
            "self.machine.fork(), cause",
            "self.machine, cause",
        ),
        seed=0,
    ),
    CodeMutant(
        name="loads-every-snapshot",
        part="driver",
        description="loads each snapshot that arrived while it stood still, although its storage keeps the last two",
        section="§7",
        hint="close the lid of a laptop, and let the others build three snapshots",
        edit=Edit(
            "pyraft_lab.runtime.applier:Applier._fetch",
            "None if is_replaced else await",
            "await",
        ),
        seed=9,
    ),
    CodeMutant(
        name="accepts-damaged-frames",
        part="driver",
        description="reads frames without comparing their checksum",
        section="§5.1",
        hint="a bit flips on the way",
        edit=Edit(
            "pyraft_lab.network.codec:decode",
            "if frame.checksum != _checksum(frame.src, frame.envelopes):",
            "if False:",
        ),
        seed=1,
    ),
)

CODE_MUTANTS: Mapping[str, CodeMutant] = {
    one.name: one for part in (ENGINE, DUTIES, MACHINE, STORAGE, CLIENT, DRIVER, PROMISES) for one in part
}
"""Every mutant in the code around the rules, by name."""
