"""Checks: invariants after every step, the explorer of all runs, and linearizability of clients' histories."""
