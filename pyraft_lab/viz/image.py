"""A static picture with its text, as HTML."""

from base64 import b64encode
from html import escape


def image(picture: str, words: str) -> str:
    """A picture as HTML that untrusted notebooks also show, with its text for screen readers."""
    data = b64encode(picture.encode()).decode()
    return f'<img alt="{escape(words)}" src="data:image/svg+xml;base64,{data}" style="max-width:100%">'
