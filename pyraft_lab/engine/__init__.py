"""Raft as one pure function over frozen values: no clock, no chance, no I/O."""
