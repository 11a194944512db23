"""Opens a socket to a Redis and greets (AUTH, SELECT, CLIENT SETNAME), by redis-py: TCP, TLS, unix socket."""

from __future__ import annotations

import asyncio

from redis.asyncio import connection as redis_py

from new_stack.queue.failover.address import Address, Node

Opener = redis_py.AbstractConnection


def hand_over(opener: Opener) -> asyncio.StreamWriter:
    """The socket of a connection that has greeted, without redis-py. Raises OSError where the server has closed it."""
    stream, reader = opener._writer, opener._reader  # noqa: SLF001 - redis-py gives its socket away to nobody
    if stream is None or reader is None or reader.at_eof():
        raise OSError("it closed the connection")
    opener._writer = opener._reader = None  # noqa: SLF001
    return stream


def opener_to(address: Address, node: Node, timeout: float) -> Opener:
    """A connection to a node, not yet opened; each of its steps may take `timeout` seconds."""
    options = {name: value for name, value in address.options.items() if not name.startswith("sentinel_")}
    options |= {"db": address.database, "username": address.username or None, "password": address.password or None}
    options |= {"socket_timeout": timeout, "socket_connect_timeout": timeout, "protocol": 2}
    if address.path:
        return redis_py.UnixDomainSocketConnection(path=address.path, **options)
    kind = redis_py.SSLConnection if address.tls else redis_py.Connection
    return kind(host=node[0], port=node[1], **options)
