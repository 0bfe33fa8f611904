"""Live Raft: nodes with a real clock, disk and network; their handle, their clients, and whole clusters."""
