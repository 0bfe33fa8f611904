"""Rows of the behaviour table that do not apply to this Raft, and why."""

NOT_APPLICABLE: dict[str, str] = {
    "JC-21": "a membership governs as soon as it is appended (§6); there is no committed one that waits to be applied",
    "SN-30": "a snapshot from outside would put entries into the log that no leader created; found a cluster on it",
    "CP-26": "a cluster that lost its majority for good has lost writes; no command pretends otherwise",
}
