"""The clauses of Raft, by label: when each decides a step, where the paper has it, and how a story tells it."""
