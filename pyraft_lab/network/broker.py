"""Start a broker that ends with this process: mosquitto if it is installed, else the embedded one.

>>> with start() as broker:  # doctest: +SKIP
...     print(broker)
mosquitto at mqtt://127.0.0.1:40313
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import msgspec
from msgspec import Struct

from pyraft_lab.concurrency import need_processes
from pyraft_lab.errors import ConfigError, NetworkFailed
from pyraft_lab.extras import require
from pyraft_lab.network.access import Account, access_list, password_file
from pyraft_lab.network.address import PATH, Certificates

Kind = Literal["mosquitto", "embedded"]
PATHS = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
"""Where to look for mosquitto: servers are often outside an ordinary user's path."""
RUN_UNTIL_PARENT_ENDS = '"$@" </dev/null & echo $!; read -r _; kill -9 $! 2>/dev/null; wait $!'
"""Runs a server until standard input ends, which happens when the parent process ends in any way.

It uses kill -9: mosquitto ignores a SIGTERM right after its start, and has nothing to save.
"""
RUNNING = " running"
"""A part of the last line that a broker logs before it accepts connections."""


class AccessControl(Struct, frozen=True, kw_only=True):
    """Who may connect: ``accounts`` of one cluster (none: everybody), and the broker's ``certificates`` for TLS."""

    cluster: str = "demo"
    accounts: Sequence[Account] = ()
    certificates: Certificates | None = None

    def __post_init__(self) -> None:
        names = [account.name for account in self.accounts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError("accounts", ", ".join(twice), "must be unique; give every account a name of its own")


NO_ACCESS_CONTROL = AccessControl()
"""Everybody may connect, unencrypted: for one machine, or a classroom whose members trust each other."""
TAKEN = ("in use", "Unable to create websockets listener")
"""What a broker says if another program took the port first: of a free one another is tried."""


def start(
    *,
    port: int = 0,
    websocket_port: int | None = None,
    kind: Kind | None = None,
    host: str = "127.0.0.1",
    access_control: AccessControl = NO_ACCESS_CONTROL,
) -> "Broker":
    """A running broker that listens at ``host``; port 0 picks a free one. ``NetworkFailed`` says why it did not start.

    With a ``websocket_port`` it also listens there for WebSockets, as browsers open them, with the same accounts.

    It ends with ``stop()``, with the ``with`` block, or with this process, even after kill -9.
    """
    need_processes("name the URL of a broker that runs elsewhere")
    kind = kind or ("mosquitto" if mosquitto() else "embedded")
    if websocket_port is not None and kind == "embedded":
        require("websockets")
    for _ in range(5):
        sockets = None if websocket_port is None else websocket_port or free_port()
        broker = Broker(kind, port or free_port(), websocket_port=sockets, host=host, access_control=access_control)
        try:
            broker.launch()
        except NetworkFailed as failed:
            broker.stop()
            if (port and websocket_port != 0) or not any(words in failed.why for words in TAKEN):
                raise
        else:
            return broker
    raise NetworkFailed("a local broker", "no free port was found")


def mosquitto() -> str | None:
    """The path of the installed mosquitto; ``None`` if it is not installed."""
    return shutil.which("mosquitto", path=PATHS)


def free_port() -> int:
    """A port that is free at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


class Broker:
    """A broker process and its files; made by :func:`start`."""

    def __init__(
        self,
        kind: Kind,
        port: int,
        *,
        websocket_port: int | None = None,
        host: str = "127.0.0.1",
        access_control: AccessControl = NO_ACCESS_CONTROL,
    ) -> None:
        if access_control.certificates:
            access_control.certificates.server_context()  # raises for a file that cannot be used
        self.kind, self.port, self.host, self.guard = kind, port, host, access_control
        self.websocket_port = websocket_port
        self.pid = 0
        self._home = Path(tempfile.mkdtemp(prefix="pyraft-broker-"))
        self._process: subprocess.Popen[str] | None = None
        self._said: deque[str] = deque(maxlen=50)
        self._listener: threading.Thread | None = None
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"mqtt{'s' if self.guard.certificates else ''}://{reachable(self.host)}:{self.port}"

    @property
    def websocket_url(self) -> str | None:
        """The URL for browsers, if it listens for WebSockets."""
        if self.websocket_port is None:
            return None
        return f"ws{'s' if self.guard.certificates else ''}://{reachable(self.host)}:{self.websocket_port}{PATH}"

    def __str__(self) -> str:
        return f"{self.kind} at {self.url}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def launch(self) -> None:
        """Start the process, and return once it accepts connections."""
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", RUN_UNTIL_PARENT_ENDS, "sh", *self._command()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C goes to the parent process, which ends its broker last
        )
        assert self._process.stdout is not None, "it is a pipe"
        self.pid = int(self._process.stdout.readline())
        self._wait_until_it_runs(self._process)

    def answers(self) -> bool:
        """Whether its port accepts connections."""
        try:
            with socket.create_connection((reachable(self.host), self.port), timeout=5.0):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """Kill -9 the broker, for lessons; ``restart`` starts it again on the same port."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
        self._end()

    def restart(self) -> None:
        """Start it again on the same port, without its retained messages."""
        self._end()
        self.launch()

    def stop(self) -> None:
        """End the process and remove its files; a second call is no error."""
        self._end()
        shutil.rmtree(self._home, ignore_errors=True)
        atexit.unregister(self.stop)

    def _end(self) -> None:
        process, self._process, self.pid = self._process, None, 0
        if process is None:
            return
        assert process.stdin is not None, "it is a pipe"
        assert process.stdout is not None, "it is a pipe"
        assert process.stderr is not None, "it is a pipe"
        process.stdin.close()  # the signal to end
        process.wait()
        if self._listener is not None:
            self._listener.join()
        process.stdout.close()
        process.stderr.close()

    def _wait_until_it_runs(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None, "it is a pipe"
        for session in process.stderr:
            self._said.append(session.strip())
            if session.rstrip().endswith(RUNNING):
                self._listener = threading.Thread(
                    target=self._listen, args=(process,), name=f"log of {self}", daemon=True
                )
                self._listener.start()
                return
            if "Error" in session:
                raise NetworkFailed(self.url, f"{self.kind} says {session.strip()!r}")
        raise NetworkFailed(self.url, f"{self.kind} ended: {' / '.join(self._said)}")

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        """Read its log, because a full pipe would block it."""
        assert process.stderr is not None, "it is a pipe"
        self._said.extend(map(str.strip, process.stderr))

    def _command(self) -> Sequence[str]:
        if self.kind == "embedded":
            settings = self._kept("guard.json", msgspec.json.encode(self.guard).decode())
            also = [] if self.websocket_port is None else [str(self.websocket_port)]
            return (sys.executable, "-m", "pyraft_lab.network.embedded", self.host, str(self.port), settings, *also)
        path = mosquitto()
        if path is None:
            raise NetworkFailed(self.url, "mosquitto is not installed; install it or use the embedded broker")
        return (path, "-c", self._kept("mosquitto.conf", "\n".join(self._settings()) + "\n"))

    def _kept(self, name: str, text: str) -> str:
        """Write a file that only this user can read, for as long as the broker runs; its path."""
        path = self._home / name
        path.touch(mode=0o600)
        path.write_text(text)
        return str(path)

    def _settings(self) -> Sequence[str]:
        return (
            f"listener {self.port} {self.host}",
            "persistence false",
            "set_tcp_nodelay true",
            "connection_messages false",
            "max_queued_messages 10000",
            "max_queued_bytes 67108864",
            # As root mosquitto would switch to another user, which cannot read these settings.
            *(["user root"] if os.geteuid() == 0 else []),
            *self._entrance(),
            *self._websockets(),
        )

    def _entrance(self) -> Sequence[str]:
        """The settings for access: anonymous or by account, with TLS if there are certificates."""
        if not self.guard.accounts:
            return ["allow_anonymous true", *self._tls()]
        passwords = self._kept("passwords", password_file(self.guard.accounts))
        rules = self._kept("rules", access_list(self.guard.cluster, self.guard.accounts))
        return ["allow_anonymous false", f"password_file {passwords}", f"acl_file {rules}", *self._tls()]

    def _websockets(self) -> Sequence[str]:
        """A second listener, for browsers; the accounts are those of all listeners."""
        if self.websocket_port is None:
            return []
        return [f"listener {self.websocket_port} {self.host}", "protocol websockets", *self._tls()]

    def _tls(self) -> Sequence[str]:
        """The certificates of one listener."""
        files = self.guard.certificates
        return [f"cafile {files.authority}", f"certfile {files.certificate}", f"keyfile {files.key}"] if files else []


def reachable(host: str) -> str:
    """An address for other machines, if the broker listens at all of its addresses."""
    if host != "0.0.0.0":  # noqa: S104
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; asks the system for the address of its default route
        address: str = probe.getsockname()[0]
        return address
