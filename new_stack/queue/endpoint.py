"""Where Redis is, and how a connection to it is opened.

redis-py opens (TCP, TLS, unix socket, Sentinel) and greets (AUTH, SELECT, CLIENT SETNAME); the transport is handed over
only when the greeting has ended, so no command can reach the server before it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from redis.asyncio import connection as redis_py
from redis.exceptions import RedisError

from new_stack.queue.errors import QueueUnavailable
from new_stack.settings import SettingsError

Node = tuple[str, int]

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26_379
SECTIONS: Final = ("server", "replication", "persistence", "cluster")


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


class Server(msgspec.Struct, frozen=True):
    """What a server says of itself (INFO)."""

    run_id: str
    version: tuple[int, ...]
    primary: bool
    cluster: bool
    append_only: bool
    client_id: int
    """The number of this connection, by which another one may unblock it."""


class Opened(msgspec.Struct, frozen=True):
    """A connection that has greeted. `stream` only keeps the transport from being closed with redis-py's own end."""

    transport: asyncio.WriteTransport
    stream: asyncio.StreamWriter
    server: Server


class Endpoint:
    """The Redis of one queue: opens connections to it, and knows which server it is at the moment."""

    def __init__(self, address: Address, *, timeout: float, prefix: str = "") -> None:
        self.address = address
        self._timeout = timeout
        self._prefix = prefix
        self._moved_to: Node | None = None
        _check_certificates(address)

    def moved(self, node: Node) -> bool:
        """A node of a cluster says that the keys are there; whether that is news."""
        news, self._moved_to = self._moved_to != node, node
        return news

    async def open(self) -> Opened:
        """Open one connection to the primary and greet. Raises QueueUnavailable, SettingsError."""
        home, self._moved_to = self._moved_to, None
        try:
            async with asyncio.timeout(self._timeout):
                nodes = (home,) if home else await self._primary() if self.address.service else self.address.nodes
                opened = await self._open_first(nodes)
        except TimeoutError:
            where = f"{home[0]}:{home[1]}" if home else self.address
            raise QueueUnavailable(f"Redis at {where} cannot be reached: no answer") from None
        self._moved_to = home
        return opened

    async def _open_first(self, nodes: tuple[Node, ...]) -> Opened:
        """The first node that is a primary; what each other one said, if there is none."""
        reasons: list[str] = []
        for node in nodes:
            opener = _opener(self.address, node, self._timeout / len(nodes))
            try:
                return await self._greeted(opener)
            except (RedisError, OSError) as error:
                await opener.disconnect(nowait=True)
                if "DB index" in str(error) or "SELECT is not allowed" in str(error):
                    raise SettingsError(f"The Redis URL's database cannot be used: {error}.") from error
                name = self.address.path or f"{node[0]}:{node[1]}"
                reasons.append(f"Redis at {name} cannot be reached: {error or 'no answer'}")
            except BaseException:
                await opener.disconnect(nowait=True)
                raise
        raise QueueUnavailable("; ".join(reasons))

    async def _greeted(self, opener: _Opener) -> Opened:
        await opener.connect()
        await opener.send_command("INFO", *SECTIONS)
        await opener.send_command("CLIENT", "ID")
        server = _server(await opener.read_response(), await opener.read_response())
        if server.cluster and "{" not in self._prefix:
            raise SettingsError("On a Redis Cluster HUBGATE_PREFIX must hold a hash tag such as {emp}:.")
        if not server.primary and not server.cluster:
            raise OSError("it is a replica, not a primary")
        stream = opener.hand_over()
        return Opened(transport=stream.transport, stream=stream, server=server)

    async def _primary(self) -> tuple[Node, ...]:
        """The address of the service's primary, as the first Sentinel that answers knows it."""
        address = self.address
        options = {name: value for name, value in address.options.items() if not name.startswith("sentinel_")}
        asked = msgspec.structs.replace(
            address,
            username=address.options.get("sentinel_username", ""),
            password=address.options.get("sentinel_password", ""),
            database=0,
            options=options,
        )
        reasons: list[str] = []
        for node in address.nodes:
            opener = _opener(asked, node, self._timeout / (len(address.nodes) + 1))
            try:
                await opener.connect()
                await opener.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.service)
                found = await opener.read_response()
            except (RedisError, OSError) as error:
                reasons.append(f"Sentinel {node[0]}:{node[1]}: {error or 'no answer'}")
            else:
                if found:
                    return ((found[0].decode(), int(found[1])),)
                reasons.append(f"Sentinel {node[0]}:{node[1]} does not know {address.service}")
            finally:
                await opener.disconnect(nowait=True)
        raise QueueUnavailable(f"no primary of {address.service} is known: {'; '.join(reasons)}")


class _Opener(redis_py.AbstractConnection):
    """A connection of redis-py that gives its socket away."""

    async def connect(self) -> None:
        """Open the socket and greet."""
        await super().connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped

    async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
        """Send bytes. Where the server has closed the connection meanwhile, uvloop raises RuntimeError: a lost one."""
        try:
            await super().send_packed_command(*arguments, **options)
        except RuntimeError as error:
            raise OSError("it closed the connection") from error

    def hand_over(self) -> asyncio.StreamWriter:
        stream, reader = self._writer, self._reader
        if stream is None or reader is None or reader.at_eof():
            raise OSError("it closed the connection")
        self._writer = self._reader = None
        return stream


class _Tcp(_Opener, redis_py.Connection):
    pass


class _Tls(_Opener, redis_py.SSLConnection):
    pass


class _Unix(_Opener, redis_py.UnixDomainSocketConnection):
    pass


def _opener(address: Address, node: Node, timeout: float) -> _Opener:
    options = {name: value for name, value in address.options.items() if not name.startswith("sentinel_")}
    options |= {"db": address.database, "username": address.username or None, "password": address.password or None}
    options |= {"socket_timeout": timeout, "socket_connect_timeout": timeout, "protocol": 2}
    if address.path:
        options.pop("socket_keepalive", None)
        return _Unix(path=address.path, **options)
    return (_Tls if address.tls else _Tcp)(host=node[0], port=node[1], **options)


def _check_certificates(address: Address) -> None:
    """Raises SettingsError where a file that the URL names cannot be used."""
    options = {name.removeprefix("ssl_"): value for name, value in address.options.items() if name[:4] == "ssl_"}
    if not options:
        return
    try:
        redis_py.RedisSSLContext(**options).get()
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"The Redis URL's certificates cannot be used: {error}.") from None


def _server(info: bytes, client_id: int) -> Server:
    facts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    return Server(
        run_id=facts.get("run_id", ""),
        version=tuple(int(part) for part in facts.get("redis_version", "0").split(".") if part.isdecimal()),
        primary=facts.get("role") == "master",
        cluster=facts.get("cluster_enabled") == "1",
        append_only=facts.get("aof_enabled") == "1",
        client_id=client_id,
    )
