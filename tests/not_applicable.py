"""Rows of the behaviour table that do not apply to this Raft, and why."""

NOT_APPLICABLE: dict[str, str] = {}
