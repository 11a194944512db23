"""Opens a socket to a Redis and greets (AUTH, SELECT, CLIENT SETNAME), by redis-py: TCP, TLS, unix socket."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import connection as redis_py

from new_stack.queue.failover.address import Address, Node


class Opener(redis_py.AbstractConnection):
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
        """The socket, without this connection. Raises OSError where the server has closed it."""
        stream, reader = self._writer, self._reader
        if stream is None or reader is None or reader.at_eof():
            raise OSError("it closed the connection")
        self._writer = self._reader = None
        return stream


class _Tcp(Opener, redis_py.Connection):
    pass


class _Tls(Opener, redis_py.SSLConnection):
    pass


class _Unix(Opener, redis_py.UnixDomainSocketConnection):
    pass


def opener_to(address: Address, node: Node, timeout: float) -> Opener:
    """A connection to a node, not yet opened; each of its steps may take `timeout` seconds."""
    options = {name: value for name, value in address.options.items() if not name.startswith("sentinel_")}
    options |= {"db": address.database, "username": address.username or None, "password": address.password or None}
    options |= {"socket_timeout": timeout, "socket_connect_timeout": timeout, "protocol": 2}
    if address.path:
        options.pop("socket_keepalive", None)
        return _Unix(path=address.path, **options)
    return (_Tls if address.tls else _Tcp)(host=node[0], port=node[1], **options)
