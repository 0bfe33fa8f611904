"""The address of a broker and its login: ``mqtt://host:1883``, ``mqtts://user:password@host:8883``.

``ws://host:9001/mqtt`` and ``wss://…`` reach a broker through a WebSocket, as browsers do.
"""

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from pyraft_lab.arguments import text
from pyraft_lab.errors import ConfigError

if TYPE_CHECKING:
    import ssl

FORMS = "must look like mqtt://host:1883, mqtts://user:password@host:8883, ws://host:9001/mqtt or wss://host/mqtt"
PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
"""The schemes of a broker's URL, each with its usual port."""
PATH = "/mqtt"
"""The usual path of a WebSocket that speaks MQTT."""
USER_RULE = "needs a user for its password; each has at most 65,535 bytes and no NUL character"
SECRET = re.compile("://.*@", re.DOTALL)
"""User and password in a URL; no message shows them."""
TOPIC_WORD = re.compile(r"[^/+#\s\x00-\x1f]{1,64}")


class Address(Struct, frozen=True, kw_only=True):
    """A broker's address; its text never shows the password.

    >>> Address.parse("mqtts://ann:secret@example.org")
    Address(host='example.org', port=8883, tls=True, username='ann')
    >>> str(Address.parse("mqtt://localhost"))
    'mqtt://localhost:1883'
    >>> str(Address.parse("ws://localhost:9001"))
    'ws://localhost:9001/mqtt'
    """

    host: str
    port: int
    tls: bool = False
    path: str = ""
    """Of a WebSocket; empty for MQTT on TCP."""
    username: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read a URL; raises ``ConfigError`` with what is wrong in it."""
        if not isinstance(url, str):
            raise ConfigError("broker", url, FORMS)
        shown = SECRET.sub("://…@", text("broker", url))
        if "?" in url or "#" in url:
            raise ConfigError("broker", shown, "must not contain '?' or '#'; a password has %3F and %23 in their place")
        try:
            parts = urlsplit(url)
            port = parts.port
            login = [unquote(word, errors="strict") if word else None for word in (parts.username, parts.password)]
        except ValueError as wrong:
            raise ConfigError("broker", shown, FORMS if "@" in url else f"{wrong}; {FORMS}") from None
        is_websocket, path = parts.scheme in {"ws", "wss"}, parts.path.rstrip("/")
        if parts.scheme not in PORTS or not parts.hostname or port == 0 or (path and not is_websocket):
            raise ConfigError("broker", shown, FORMS)
        username, password = login
        if (password and not username) or any(word and not _fits(word) for word in login):
            raise ConfigError("broker", shown, USER_RULE)
        return cls(
            host=parts.hostname,
            port=PORTS[parts.scheme] if port is None else port,
            tls=parts.scheme in {"mqtts", "wss"},
            path=(path or PATH) if is_websocket else "",
            username=username,
            password=password,
        )

    @property
    def scheme(self) -> str:
        """The first word of its URL."""
        return ("ws" if self.path else "mqtt") + ("s" if self.tls else "")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def url_without_password(self) -> str:
        """The URL with its user and without the password: for command lines, which other users of a machine can read.

        >>> Address.parse("mqtts://ann:secret@example.org").url_without_password
        'mqtts://ann@example.org:8883'
        """
        user = f"{quote(self.username, safe='')}@" if self.username else ""
        return str(self).replace("://", f"://{user}", 1)

    def __repr__(self) -> str:
        path = f", path={self.path!r}" if self.path else ""
        who = f", username={self.username!r}" if self.username else ""
        return f"Address(host={self.host!r}, port={self.port}, tls={self.tls}{path}{who})"


def _fits(word: str) -> bool:
    """Whether MQTT can carry this user or password."""
    return len(word.encode()) < 1 << 16 and "\0" not in word


class Settings(Struct, frozen=True, kw_only=True):
    """Settings of a connection: ``timeout`` and ``keepalive`` are in seconds."""

    address: Address
    tls: "ssl.SSLContext | None"
    keepalive: int
    timeout: float


class Certificates(Struct, frozen=True, kw_only=True):
    """Files for TLS: the trusted authority (``None``: the system's), and a client certificate if required."""

    authority: str | None = None
    certificate: str | None = None
    key: str | None = None

    def context(self) -> "ssl.SSLContext":
        """The TLS context of a client; ``ConfigError`` if a file cannot be used."""
        import ssl

        if self.key and not self.certificate:
            raise ConfigError("key", self.key, "needs the certificate that it belongs to")
        try:
            context = ssl.create_default_context(cafile=self.authority)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key)
        except OSError as wrong:  # ssl.SSLError is one
            raise ConfigError("certificates", self, str(wrong)) from None
        return context

    def server_context(self) -> "ssl.SSLContext":
        """The TLS context of a broker; ``ConfigError`` if a file cannot be used."""
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate or "", self.key)
        except OSError as wrong:  # ssl.SSLError is one
            raise ConfigError("certificates", self, str(wrong)) from None
        return context


def topic_word(field: str, value: str) -> str:
    """``value``, if it is valid as one level of a topic, without ``+`` and ``#``; else ``ConfigError``."""
    if not TOPIC_WORD.fullmatch(text(field, value)) or value.startswith("$"):
        raise ConfigError(field, value, "must be 1 to 64 characters without '/', '+', '#', '$' in front or white space")
    return value
