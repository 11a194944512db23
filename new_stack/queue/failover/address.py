"""Where Redis is: a URL with its options, read into an `Address`."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from redis.asyncio.connection import RedisSSLContext

from new_stack.settings import SettingsError

Node = tuple[str, int]

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26_379


def _truth(text: str) -> bool:
    if text.lower() not in {"0", "1", "true", "false", "yes", "no"}:
        raise ValueError
    return text.lower() in {"1", "true", "yes"}


def _verification(text: str) -> str:
    if text not in {"required", "optional", "none"}:
        raise ValueError
    return text


OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "client_name": str,
    "db": int,
    "sentinel_password": str,
    "sentinel_username": str,
    "socket_keepalive": _truth,
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_cert_reqs": _verification,
    "ssl_certfile": str,
    "ssl_check_hostname": _truth,
    "ssl_keyfile": str,
    "ssl_password": str,
}
"""What may stand behind the `?` of a Redis URL."""

SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")


class Address(msgspec.Struct, frozen=True):
    """A Redis URL, read. `nodes` are alternatives, tried in order; with a `service` they are its Sentinels."""

    nodes: tuple[Node, ...] = (("127.0.0.1", REDIS_PORT),)
    path: str = ""
    service: str = ""
    tls: bool = False
    username: str = ""
    password: str = ""
    database: int = 0
    options: dict[str, Any] = {}

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises SettingsError with one sentence; it does not repeat the password."""
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise SettingsError(f"The Redis URL must start with {', '.join(f'{name}://' for name in SCHEMES)}.")
        sentinel, tls = parts.scheme.endswith("sentinel"), parts.scheme.startswith("rediss")
        options = _options(parts.query, sentinel=sentinel, tls=tls)
        user, _, hosts = parts.netloc.rpartition("@")
        username, _, password = user.partition(":")
        path = [] if parts.scheme == "unix" else [unquote(part) for part in parts.path.split("/") if part]
        service = path.pop(0) if sentinel and path else ""
        if sentinel and not service:
            raise SettingsError("The Redis URL must name the service: redis+sentinel://host,host/service/0.")
        if len(path) > 1 or not all(part.isdecimal() for part in path):
            raise SettingsError("The Redis URL's path must be the number of the database.")
        return cls(
            nodes=tuple(_node(host, SENTINEL_PORT if sentinel else REDIS_PORT) for host in hosts.split(",")),
            path=unquote(parts.path) if parts.scheme == "unix" else "",
            service=service,
            tls=tls,
            username=unquote(username),
            password=unquote(password),
            database=options.pop("db", int(path[0]) if path else 0),
            options=options,
        )

    def __str__(self) -> str:
        """Without the password: fit for messages and logs."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.nodes)
        return self.path or (f"{hosts}/{self.service}" if self.service else hosts)

    def check_certificates(self) -> None:
        """Raises SettingsError where a file that the URL names cannot be used."""
        options = {name.removeprefix("ssl_"): value for name, value in self.options.items() if name[:4] == "ssl_"}
        if not options:
            return
        try:
            RedisSSLContext(**options).get()
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"The Redis URL's certificates cannot be used: {error}.") from None


def _options(query: str, *, sentinel: bool, tls: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            raise SettingsError(f"The Redis URL has no option {name!r}; there are {', '.join(OPTIONS)}.")
        if (name.startswith("ssl_") and not tls) or (name.startswith("sentinel_") and not sentinel):
            raise SettingsError(f"The Redis URL's option {name!r} does not go with its scheme.")
        try:
            found[name] = OPTIONS[name](text)
        except ValueError:
            raise SettingsError(f"The Redis URL's option {name!r} cannot be {text!r}.") from None
    return found


def _node(text: str, default_port: int) -> Node:
    parts = urlsplit(f"//{text}")
    try:
        port = parts.port or default_port
    except ValueError:
        raise SettingsError("The Redis URL's port must be a whole number.") from None
    return parts.hostname or "127.0.0.1", port
