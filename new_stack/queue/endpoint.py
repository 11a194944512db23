"""How a connection to Redis is opened: to a server, a socket, or the primary that a Sentinel names.

redis-py opens (TCP, TLS, unix socket) and greets (AUTH, SELECT, CLIENT SETNAME); the transport is handed over only when
the greeting has ended, so no command can reach the server before it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from redis.asyncio import connection as redis_py
from redis.exceptions import RedisError

from new_stack.queue.address import Address, Node
from new_stack.queue.errors import QueueUnavailable
from new_stack.settings import SettingsError

SECTIONS: Final = ("server", "replication", "cluster")


class Server(msgspec.Struct, frozen=True):
    """What a server says of itself (INFO)."""

    run_id: str
    version: tuple[int, ...]
    primary: bool
    cluster: bool
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
        self._address = address
        self._timeout = timeout
        self._prefix = prefix
        self._moved_to: Node | None = None
        address.check_certificates()

    def moved(self, node: Node) -> bool:
        """A node of a cluster says that the keys are there; whether that is news."""
        news, self._moved_to = self._moved_to != node, node
        return news

    def unavailable(self, what: str, why: str, node: Node | None = None) -> QueueUnavailable:
        """The error that clients are told as `what`, and operators with the address and why."""
        where = f"{node[0]}:{node[1]}" if node and not self._address.path else self._address
        return QueueUnavailable(f"Redis {what}", f"Redis at {where} {what}: {why}")

    def unreachable(self, why: str, node: Node | None = None) -> QueueUnavailable:
        """The error of a connection that cannot be opened."""
        return self.unavailable("cannot be reached", why or "no answer", node)

    async def open(self) -> Opened:
        """Open one connection to the primary and greet. Raises QueueUnavailable, SettingsError."""
        home, self._moved_to = self._moved_to, None
        try:
            async with asyncio.timeout(self._timeout):
                nodes = (home,) if home else await self._primary() if self._address.service else self._address.nodes
                opened = await self._open_first(nodes)
        except TimeoutError:
            raise self.unreachable("no answer", home) from None
        self._moved_to = home
        return opened

    async def _open_first(self, nodes: tuple[Node, ...]) -> Opened:
        """The first node that is a primary; what each other one said, if there is none."""
        reasons: list[str] = []
        for node in nodes:
            opener = _opener(self._address, node, self._timeout / len(nodes))
            try:
                return await self._greeted(opener)
            except (RedisError, OSError) as error:
                await opener.disconnect(nowait=True)
                if "DB index" in str(error) or "SELECT is not allowed" in str(error):
                    raise SettingsError(f"The Redis URL's database cannot be used: {error}.") from error
                reasons.append(self.unreachable(str(error), node).detail)
            except BaseException:
                await opener.disconnect(nowait=True)
                raise
        raise QueueUnavailable("Redis cannot be reached", "; ".join(reasons))

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
        address = self._address
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
        known = f"no primary of {address.service} is known: {'; '.join(reasons)}"
        raise QueueUnavailable("Redis cannot be reached", known)


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


def _server(info: bytes, client_id: int) -> Server:
    facts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    return Server(
        run_id=facts.get("run_id", ""),
        version=tuple(int(part) for part in facts.get("redis_version", "0").split(".") if part.isdecimal()),
        primary=facts.get("role") == "master",
        cluster=facts.get("cluster_enabled") == "1",
        client_id=client_id,
    )
