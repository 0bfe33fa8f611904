"""Verdicts: what must hold after every step, in every world, and in the eyes of the clients."""
