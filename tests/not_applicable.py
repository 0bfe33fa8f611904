"""Rows of the behaviour table that do not apply to this Raft, and why."""

NOT_APPLICABLE = {
    "CQ-09": "There is no order to forget a leader: a follower's loyalty ends with its timer.",
    "JC-21": "A membership governs from when it is appended, so none is ever committed and not yet in force.",
    "SN-30": "State from outside enters as commands; a snapshot is only ever built from the log.",
    "CP-19": "A leader sends from memory; its disk is read at the start, and then only for chunks of snapshots.",
    "CP-26": "No membership can be forced: who lost a majority for good founds a new cluster.",
    "ST-11": "The machine lives in memory and is rebuilt from snapshot and log, so it has no storage of its own.",
    "ST-13": "A storage hands out its log once, at the start; there are no readers that could fall behind.",
    "ST-14": "The commit index is never stored: it is learnt anew, and nothing can contradict it.",
}
