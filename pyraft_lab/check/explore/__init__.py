"""Explore every possible run of a small cluster within bounds, and check safety in each state."""
