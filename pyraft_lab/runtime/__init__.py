"""Raft for real: nodes on an event loop, with a clock, a disk and a wire; their handle, their clients, a whole cluster."""
