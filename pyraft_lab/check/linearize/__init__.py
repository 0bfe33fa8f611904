"""Linearize."""
