"""The state of a broker: connected clients, subscriptions, retained messages, access rights.

It does no I/O: sessions (:mod:`pyraft_lab.network.session`) pass it what clients send, and carry what it sends.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import structs

from pyraft_lab.network.access import Account, rules
from pyraft_lab.network.packets import Connect, Publish, encode

ROUTE_CACHE = 10_000
"""Topics whose subscribers are cached, to avoid a search for every message."""
RETAINED = 100_000
"""Topics that may retain a message; beyond this number new ones are not retained."""


class Subscriber(Protocol):
    """A client that is connected."""

    @property
    def user(self) -> str | None:
        """The account of its login; ``None`` for an anonymous client."""

    @property
    def filters(self) -> Mapping[str, int]:
        """The subscriptions of a session: the QoS of each topic filter."""

    def send(self, frame: bytes) -> None:
        """Send an encoded message of QoS 0 to it; dropped if too many bytes wait already."""

    def send_acknowledged(self, message: Publish) -> None:
        """Send a message of QoS 1 to it."""

    def take_over(self) -> None:
        """Disconnect it: another connection has the same client id."""


def matches(filter: str, topic: str) -> bool:
    """Whether a subscription to ``filter`` receives ``topic`` (section 4.7).

    >>> [matches(one, "room/1/in") for one in ("room/+/in", "room/#", "#", "+/in", "room/1/in/#")]
    [True, True, True, False, True]
    >>> matches("#", "$SYS/uptime"), matches("+/uptime", "$SYS/uptime"), matches("$SYS/#", "$SYS/uptime")
    (False, False, True)
    """
    if topic.startswith("$") and not filter.startswith("$"):
        return False
    wanted, levels = filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(want in {"+", level} for want, level in zip(wanted, levels, strict=True))


class Access:
    """The accounts, and the topics that each may write and read; without accounts everybody may do everything."""

    def __init__(self, cluster: str = "demo", accounts: Sequence[Account] = ()) -> None:
        self._passwords = {account.name: account.password for account in accounts}
        self._rules = {account.name: rules(cluster, account) for account in accounts}

    def admits(self, username: str | None, password: bytes | None) -> bool:
        """Whether this login is valid."""
        if not self._passwords:
            return True
        known = self._passwords.get(username or "")
        return known is not None and secrets.compare_digest(known.encode(), password or b"")

    def user(self, username: str | None) -> str | None:
        """The account whose rules apply; ``None`` without accounts."""
        return username if self._rules else None

    def allows(self, user: str | None, way: str, topic: str) -> bool:
        """Whether ``user`` may ``"read"`` or ``"write"`` the topic; no client may write to the broker's own topics."""
        if way == "write" and topic.startswith("$"):
            return False
        if user is None:
            return True
        return any(rule == way and matches(filter, topic) for rule, filter in self._rules[user])


class Hub:
    """Receive messages and pass each one to the subscribers of its topic."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._clients: dict[str, Subscriber] = {}
        self._retained: dict[str, Publish] = {}
        self._routes: dict[str, list[tuple[Subscriber, int]]] = {}

    def enter(self, asked: Connect, subscriber: Subscriber) -> int:
        """Admit a client, in place of an older connection of the same user and client id; returns the CONNACK code."""
        if not asked.client and not asked.is_clean:
            return 2
        if not self.access.admits(asked.username, asked.password):
            return 5
        client = asked.client or secrets.token_hex(8)
        older = self._clients.get(client)
        if older is not None:
            if older.user != self.access.user(asked.username):
                return 2  # an account cannot end connections of another one
            older.take_over()
        self._clients[client] = subscriber
        return 0

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a connection that has ended."""
        self._clients = {id: client for id, client in self._clients.items() if client is not subscriber}
        self.forget_routes()

    def publish(self, user: str | None, message: Publish) -> None:
        """Deliver a message of ``user``; a forbidden one is dropped silently."""
        if not self.access.allows(user, "write", message.topic):
            return
        if message.retain:
            self._retain(message)
        heard = Publish(topic=message.topic, payload=message.payload, qos=message.qos)
        _send_along(heard, self._route(message.topic))

    def recall(self, subscriber: Subscriber, filter: str, qos: int) -> None:
        """Send a new subscriber the retained messages of the topics it asked for."""
        for message in [kept for topic, kept in self._retained.items() if matches(filter, topic)]:
            if self.access.allows(subscriber.user, "read", message.topic):
                _send_along(message, [(subscriber, qos)])

    def forget_routes(self) -> None:
        """Clear the cache: subscriptions have changed."""
        self._routes.clear()

    def _retain(self, message: Publish) -> None:
        if not message.payload:
            self._retained.pop(message.topic, None)
        elif message.topic in self._retained or len(self._retained) < RETAINED:
            self._retained[message.topic] = message

    def _route(self, topic: str) -> list[tuple[Subscriber, int]]:
        """The subscribers of ``topic``, each once and with the highest QoS it asked for."""
        route = self._routes.get(topic)
        if route is None:
            if len(self._routes) >= ROUTE_CACHE:
                self._routes.clear()
            route = self._routes[topic] = self._found(topic)
        return route

    def _found(self, topic: str) -> list[tuple[Subscriber, int]]:
        wanted = [
            (client, [qos for filter, qos in client.filters.items() if matches(filter, topic)])
            for client in self._clients.values()
            if self.access.allows(client.user, "read", topic)
        ]
        return [(client, max(each)) for client, each in wanted if each]


def _send_along(message: Publish, route: Sequence[tuple[Subscriber, int]]) -> None:
    """Send a message to these subscribers, at the lower of its own QoS and the subscriber's."""
    frame = b""
    for subscriber, qos in route:
        if min(qos, message.qos):
            subscriber.send_acknowledged(message)
        else:
            frame = frame or encode(structs.replace(message, qos=0))
            subscriber.send(frame)
