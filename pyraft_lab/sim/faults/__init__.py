"""Faults as data: plans, plans made from a seed, and how they are carried out."""
