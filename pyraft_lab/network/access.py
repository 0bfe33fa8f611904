"""Access rights on a shared broker: accounts, and mosquitto's access list that binds every node to its id.

The sender of a frame is in its topic. So the rule "node 2 publishes to ``pyraft/<cluster>/+/in/2`` and nowhere else" is
enough to prevent everybody else from sending as node 2.
"""

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import pbkdf2_hmac
from typing import Literal
from urllib.parse import quote

from msgspec import Struct, field

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError
from pyraft_lab.network.address import topic_word

Part = Literal["node", "client", "learner", "teacher"]
ROUNDS = 101
"""PBKDF2 rounds in mosquitto's own password files."""


class Account(Struct, frozen=True, kw_only=True):
    """A user of the broker; a node's account name is its id, and it may send only as that node.

    A client sends requests to nodes. A learner joins a room, where ids are given out on arrival, so it may send as any
    node of that room. A teacher may also inject link faults and change the room settings.
    """

    name: str
    part: Part
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def __post_init__(self) -> None:
        topic_word("name", self.name)
        if ":" in self.name:
            raise ConfigError("name", self.name, "must not contain ':', which ends a name in lists of passwords")

    @classmethod
    def node(cls, id: NodeId) -> "Account":
        """The account of a node, with a new password."""
        return cls(name=str(id), part="node")

    def url(self, broker: str) -> str:
        """The broker's URL with this account's name and password."""
        scheme, _, place = broker.partition("://")
        return f"{scheme}://{quote(self.name, safe='')}:{quote(self.password, safe='')}@{place}"


def access_list(cluster: str, accounts: Iterable[Account]) -> str:
    """mosquitto's ``acl_file``; everything that it does not list is forbidden.

    >>> print(access_list("demo", [Account.node(2)]))
    user 2
    topic read pyraft/demo/2/in/+
    topic write pyraft/demo/+/in/2
    ...
    """
    topic_word("cluster", cluster)
    return "\n\n".join(_of_one(cluster, account) for account in accounts) + "\n"


def password_file(accounts: Iterable[Account]) -> str:
    """mosquitto's ``password_file``: a salted hash of every password."""
    return "".join(f"{account.name}:{_hashed(account.password)}\n" for account in accounts)


def rules(cluster: str, account: Account) -> Sequence[tuple[str, str]]:
    """The topic filters that an account may use, each with ``"read"`` or ``"write"``."""
    of_part: Mapping[Part, Callable[[str], Sequence[tuple[str, str]]]] = {
        "node": _node,
        "client": _client,
        "learner": _learner,
        "teacher": _teacher,
    }
    allowed = of_part[account.part](account.name)
    return [(way, f"pyraft/{cluster}/{topic}") for way, topic in allowed]


def _of_one(cluster: str, account: Account) -> str:
    lines = [f"topic {way} {filter}" for way, filter in rules(cluster, account)]
    return "\n".join([f"user {account.name}", *lines])


def _node(name: str) -> Sequence[tuple[str, str]]:
    return (
        ("read", f"{name}/in/+"),
        ("write", f"+/in/{name}"),
        ("read", "+/presence"),
        ("write", f"{name}/presence"),
        ("read", f"{name}/ask/+"),
        ("write", f"answers/+/{name}"),
        ("write", f"{name}/status"),
        ("write", f"{name}/faults"),
        ("write", f"{name}/trace"),
        ("read", "followers/+"),
        ("read", "weather"),
        ("read", "gate/#"),
        ("read", "room"),
    )


def _client(name: str) -> Sequence[tuple[str, str]]:
    return (
        ("write", f"+/ask/{name}"),
        ("read", f"answers/{name}/+"),
        ("write", f"answers/{name}/0"),  # its own echo: all retained messages have come before it
        ("read", "+/status"),
        ("read", "+/faults"),
        ("read", "+/trace"),
        ("read", "+/presence"),
        ("write", f"followers/{name}"),
        ("write", f"players/{name}/+"),
        ("read", "players/+/+"),
    )


def _learner(name: str) -> Sequence[tuple[str, str]]:
    return (*_node("+"), *_client(name))


def _teacher(name: str) -> Sequence[tuple[str, str]]:
    """A teacher's rights, with those to clear a room that has ended."""
    return (
        *_learner(name),
        ("write", "weather"),
        ("write", "gate/#"),
        ("write", "room"),
        ("write", "players/+/+"),
        ("write", "followers/+"),
        ("write", "+/ask/+"),
        ("write", "answers/+/+"),
        ("read", "#"),
    )


def _hashed(password: str) -> str:
    salt = secrets.token_bytes(12)
    digest = pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS, 64)
    return f"$7${ROUNDS}${b64encode(salt).decode()}${b64encode(digest).decode()}"
