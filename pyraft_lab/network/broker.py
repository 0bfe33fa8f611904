"""A broker of one's own, for as long as its owner lives: mosquitto if it is installed, else the embedded one.

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

from pyraft_lab.errors import ConfigError, NetworkFailed
from pyraft_lab.network.access import Account, access_list, password_file
from pyraft_lab.network.address import Certificates

Kind = Literal["mosquitto", "embedded"]
PATHS = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
"""Where mosquitto may be: servers are often outside of an ordinary user's path."""
RUN_UNTIL_PARENT_ENDS = '"$@" </dev/null & echo $!; read -r _; kill -9 $! 2>/dev/null; wait $!'
"""Runs a server until standard input ends, which it does when its owner does, however that dies.

Killed without mercy: mosquitto forgets a SIGTERM that comes right after it says it is running, and has nothing to save.
"""
RUNNING = " running"
"""What the last line before a broker accepts connections contains."""


class AccessControl(Struct, frozen=True, kw_only=True):
    """Who is let in: ``accounts`` of one cluster (none: everybody), and the broker's own ``certificates`` for TLS."""

    cluster: str = "demo"
    accounts: Sequence[Account] = ()
    certificates: Certificates | None = None

    def __post_init__(self) -> None:
        names = [account.name for account in self.accounts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError("accounts", ", ".join(twice), "must be named once; give every account a name of its own")


NO_ACCESS_CONTROL = AccessControl()
"""Everybody, unencrypted: for one machine, or a classroom that trusts itself."""


def start(
    *,
    port: int = 0,
    kind: Kind | None = None,
    host: str = "127.0.0.1",
    access_control: AccessControl = NO_ACCESS_CONTROL,
) -> "Broker":
    """A running broker that listens at ``host``; port 0 picks a free one. ``NetworkFailed`` says why there is none.

    It ends with ``stop()``, with the ``with`` block, or with this process, even if that is killed.
    """
    kind = kind or ("mosquitto" if mosquitto() else "embedded")
    for _ in range(5):
        broker = Broker(kind, port or free_port(), host=host, access_control=access_control)
        try:
            broker.launch()
        except NetworkFailed as failed:
            broker.stop()
            if port or "in use" not in failed.why:
                raise
        else:
            return broker
    raise NetworkFailed("a broker of one's own", "no free port was found")


def mosquitto() -> str | None:
    """The path of the installed mosquitto, if there is one."""
    return shutil.which("mosquitto", path=PATHS)


def free_port() -> int:
    """A port nobody listens on at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


class Broker:
    """A broker process and its files; made by :func:`start`."""

    def __init__(
        self, kind: Kind, port: int, *, host: str = "127.0.0.1", access_control: AccessControl = NO_ACCESS_CONTROL
    ) -> None:
        if access_control.certificates:
            access_control.certificates.server_context()  # names a file that cannot be used
        self.kind, self.port, self.host, self.guard = kind, port, host, access_control
        self.pid = 0
        self._home = Path(tempfile.mkdtemp(prefix="pyraft-broker-"))
        self._process: subprocess.Popen[str] | None = None
        self._said: deque[str] = deque(maxlen=50)
        self._listener: threading.Thread | None = None
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"mqtt{'s' if self.guard.certificates else ''}://{_reachable(self.host)}:{self.port}"

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
            start_new_session=True,  # Ctrl-C is for the owner, who then ends its broker last
        )
        assert self._process.stdout is not None, "it is a pipe"
        self.pid = int(self._process.stdout.readline())
        self._wait_until_it_runs(self._process)

    def answers(self) -> bool:
        """Whether somebody accepts connections at its port."""
        try:
            with socket.create_connection((_reachable(self.host), self.port), timeout=5.0):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """Kill -9, for lessons; ``restart`` brings it back on the same port."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
        self._end()

    def restart(self) -> None:
        """Start it again, on the same port, remembering nothing."""
        self._end()
        self.launch()

    def stop(self) -> None:
        """End the process and remove its files; twice is no error."""
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
        process.stdin.close()  # the sign to go
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
        """Drain its log, or it would stop at a full pipe."""
        assert process.stderr is not None, "it is a pipe"
        self._said.extend(map(str.strip, process.stderr))

    def _command(self) -> Sequence[str]:
        if self.kind == "embedded":
            settings = self._kept("guard.json", msgspec.json.encode(self.guard).decode())
            return (sys.executable, "-m", "pyraft_lab.network.embedded", self.host, str(self.port), settings)
        path = mosquitto()
        if path is None:
            raise NetworkFailed(self.url, "mosquitto is not installed; install it or take the embedded broker")
        return (path, "-c", self._kept("mosquitto.conf", "\n".join(self._settings()) + "\n"))

    def _kept(self, name: str, text: str) -> str:
        """A file that nobody else can read, for as long as the broker lives; its path."""
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
            # As root it would become somebody else, who cannot read its own settings here.
            *(["user root"] if os.geteuid() == 0 else []),
            *self._entrance(),
        )

    def _entrance(self) -> Sequence[str]:
        """Who is let in."""
        files = self.guard.certificates
        tls = [f"cafile {files.authority}", f"certfile {files.certificate}", f"keyfile {files.key}"] if files else []
        if not self.guard.accounts:
            return ["allow_anonymous true", *tls]
        passwords = self._kept("passwords", password_file(self.guard.accounts))
        rules = self._kept("rules", access_list(self.guard.cluster, self.guard.accounts))
        return ["allow_anonymous false", f"password_file {passwords}", f"acl_file {rules}", *tls]


def _reachable(host: str) -> str:
    """An address for others, where a broker listens at every one it has."""
    if host != "0.0.0.0":  # noqa: S104
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; asks the system which of its addresses faces the world
        address: str = probe.getsockname()[0]
        return address
