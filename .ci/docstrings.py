"""Griffe extension: examples in docstrings are code, not prose, wherever they stand."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"(?m)^(?:>>> .*(?:\n(?!\s*$).*)*)")


class FencedExamples(griffe.Extension):
    """Puts a fence round every doctest, so that its output is not read as Markdown."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Griffe has met a module, class or function."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(lambda found: f"```pycon\n{found.group()}\n```", obj.docstring.value)
