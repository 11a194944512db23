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


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _name(text: str) -> str:
    if " " in text:  # Redis refuses it
        raise ValueError
    return _text(text)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError
    return int(text)


def _verification(text: str) -> str:
    if text not in {"required", "optional", "none"}:
        raise ValueError
    return text


OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "client_name": _name,
    "db": _number,
    "sentinel_password": _text,
    "sentinel_username": _text,
    "socket_keepalive": _truth,
    "ssl_ca_certs": _text,
    "ssl_cert_reqs": _verification,
    "ssl_certfile": _text,
    "ssl_check_hostname": _truth,
    "ssl_keyfile": _text,
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
        try:
            parts = urlsplit(url)
        except ValueError:
            raise SettingsError("The Redis URL's host cannot be read.") from None
        if parts.scheme not in SCHEMES:
            raise SettingsError(f"The Redis URL must start with {', '.join(f'{name}://' for name in SCHEMES)}.")
        if parts.fragment:
            raise SettingsError("The Redis URL must not have a '#'; in a password it is written %23.")
        options = _options(parts.query, parts.scheme)
        user, _, hosts = parts.netloc.rpartition("@")
        username, _, password = user.partition(":")
        if parts.scheme == "unix":
            if hosts or not parts.path:
                raise SettingsError("The Redis URL of a socket must be unix:///path, with three slashes.")
            where: dict[str, Any] = {"path": unquote(parts.path)}
        else:
            where = _server(parts.scheme, hosts, [unquote(part) for part in parts.path.split("/") if part], options)
        return cls(
            **where,
            username=unquote(username),
            password=unquote(password),
            database=options.pop("db", 0),
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


def _server(scheme: str, hosts: str, path: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """The fields of an address over TCP. The database of its path becomes the option `db`."""
    sentinel = scheme.endswith("sentinel")
    service = path.pop(0) if sentinel and path else ""
    if sentinel and not service:
        raise SettingsError("The Redis URL must name the service: redis+sentinel://host,host/service/0.")
    if len(path) > 1 or not all(part.isdecimal() for part in path):
        raise SettingsError("The Redis URL's path must be the number of the database.")
    if path and "db" in options:
        raise SettingsError("The Redis URL names its database twice, in its path and as its option 'db'.")
    if path:
        options["db"] = int(path[0])
    port = SENTINEL_PORT if sentinel else REDIS_PORT
    nodes = tuple(_node(host, port) for host in hosts.split(",")) if hosts else (("127.0.0.1", port),)
    return {"nodes": nodes, "service": service, "tls": scheme.startswith("rediss")}


def _fits(name: str, scheme: str) -> bool:
    """Whether the option says anything with this scheme."""
    if name.startswith("ssl_"):
        return scheme.startswith("rediss")
    if name.startswith("sentinel_"):
        return scheme.endswith("sentinel")
    return name != "socket_keepalive" or scheme != "unix"


def _options(query: str, scheme: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            raise SettingsError(f"The Redis URL has no option {name!r}; there are {', '.join(OPTIONS)}.")
        if not _fits(name, scheme):
            raise SettingsError(f"The Redis URL's option {name!r} does not go with its scheme.")
        if name in found:
            raise SettingsError(f"The Redis URL has its option {name!r} twice.")
        try:
            found[name] = OPTIONS[name](text)
        except ValueError:
            raise SettingsError(f"The Redis URL's option {name!r} cannot be {text!r}.") from None
    if ("ssl_certfile" in found) != ("ssl_keyfile" in found):
        raise SettingsError("The Redis URL's options 'ssl_certfile' and 'ssl_keyfile' go together.")
    return found


def _node(text: str, default_port: int) -> Node:
    try:
        parts = urlsplit(f"//{text}")
    except ValueError:
        raise SettingsError(f"The Redis URL's host {text!r} cannot be read.") from None
    try:
        port = default_port if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port:
        raise SettingsError("The Redis URL's port must be a whole number from 1 to 65535.")
    if not text:
        raise SettingsError("The Redis URL has a comma too many among its hosts.")
    return parts.hostname or "127.0.0.1", port
