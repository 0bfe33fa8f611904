"""Griffe extension: docstrings as pages want them, with examples as code and names as links."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"(?m)^(?:>>> .*(?:\n(?!\s*$).*)*)")
DIRECTIVE = re.compile(r"  # doctest: .*")
ROLE = re.compile(r":\w+:`~?([\w.]+)`")


class Pages(griffe.Extension):
    """Puts a fence round every doctest, so that its output is not read as Markdown, and makes roles links."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Griffe has met a module, class or function."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(linked, EXAMPLE.sub(fenced, obj.docstring.value))


def fenced(found: re.Match[str]) -> str:
    """An example as code."""
    return f"```pycon\n{DIRECTIVE.sub('', found.group())}\n```"


def linked(found: re.Match[str]) -> str:
    """A name as a link, of which the last part is read; a name that is not whole is code."""
    name = found.group(1)
    return f"[`{name.rpartition('.')[2]}`][{name}]" if name.startswith("pyraft_lab.") else f"`{name}`"
