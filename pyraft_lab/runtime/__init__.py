"""Raft for real: nodes with a clock, a disk and a wire; their handle, their clients, a whole cluster."""
