"""Runs that are made to show one kind of mistake."""
