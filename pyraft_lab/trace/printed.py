"""Text for notebooks: a long line breaks between words, and what is left of it is indented."""

from collections.abc import Collection
from html import escape

FONT = "font-family:var(--jp-code-font-family,monospace);font-size:13px;line-height:1.35"
LINE = "white-space:pre-wrap;overflow-wrap:anywhere;margin-left:{0}ch;text-indent:-{0}ch"
INDENT = 4
"""How many characters the rest of a long line is indented."""


class Story(str):
    r"""Lines of text: printed it is a string, as the result of a cell it is a page.

    >>> Story("n1 starts\nn2 starts\nn2 hears a heartbeat of n1").about("n2", without=["heartbeat"])
    n2 starts
    """

    __slots__ = ()

    def about(self, *words: str, without: Collection[str] = ()) -> "Story":
        """The lines that contain one of these words, and none of ``without``."""
        kept = [one for one in self.splitlines() if any(word in one for word in words)]
        return Story("\n".join(one for one in kept if not any(word in one for word in without)))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return lines_as_html(self)


def lines_as_html(text: str) -> str:
    """Lines as HTML, one block a line.

    >>> lines_as_html("a < b").endswith(">a &lt; b</div></div>")
    True
    """
    return f'<div style="{FONT}">{"".join(map(_line, text.splitlines()))}</div>'


def _line(line: str) -> str:
    words = line.lstrip(" ")
    left = len(line) - len(words) + INDENT
    return f'<div style="{LINE.format(left)}">{escape(line) or "&nbsp;"}</div>'
