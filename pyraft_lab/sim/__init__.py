"""Deterministic worlds: a whole cluster as one value, and a simulation that drives it."""
