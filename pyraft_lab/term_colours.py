"""The colours of terms: one palette for figures, the Lab and the terminal.

>>> term_colour(1), term_colour(7) == term_colour(1), term_colour(0)
('#56B4E9', True, '#E4E7EB')
"""

PALETTE = ("#56B4E9", "#F0E442", "#009E73", "#E69F00", "#0072B2", "#D55E00")
"""Okabe and Ito's colours in the order of terms: neighbours differ most, also for colour-weak eyes."""
NO_TERM = "#E4E7EB"
"""Before the first term."""
DARK = frozenset({"#0072B2"})
"""Fills on which a number must be white to be readable."""


def term_colour(term: int) -> str:
    """The fill of a term; the palette repeats after its last colour."""
    return PALETTE[(term - 1) % len(PALETTE)] if term > 0 else NO_TERM
