"""How a connection to Redis is opened: to a server, a socket, or the primary that a Sentinel names.

redis-py opens (TCP, TLS, unix socket) and greets (AUTH, SELECT, CLIENT SETNAME); the transport is handed over only when
the greeting has ended, so no command can reach the server before it.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from redis.exceptions import RedisError

from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.failover import sentinel
from new_stack.queue.failover.address import Address, Node
from new_stack.queue.opener import Opener, hand_over, opener_to
from new_stack.settings import SettingsError

SECTIONS: Final = ("server", "replication", "cluster")
UNREACHABLE: Final = "cannot be reached"


class Opened(msgspec.Struct, frozen=True):
    """A connection that has greeted, and what its server says of itself (INFO)."""

    stream: asyncio.StreamWriter
    """It is kept so that the transport is not closed with redis-py's own end."""
    run_id: str
    version: tuple[int, ...]
    client_id: int
    """The number of this connection, by which another one may unblock it."""


class Endpoint:
    """The Redis of one queue: opens connections to it, and knows which server it is at the moment."""

    def __init__(self, address: Address, *, timeout: float, prefix: str = "") -> None:
        self._address = address
        self.timeout = timeout
        self._prefix = prefix
        self.moved_to: Node | None = None
        """Where the keys are, as a node of a cluster says: it is opened next."""
        address.check_certificates()

    def unavailable(self, what: str, why: str, node: Node | None = None) -> QueueUnavailable:
        """The error that clients are told as `what`, and operators with the address and why."""
        where = f"{node[0]}:{node[1]}" if node and not self._address.path else self._address
        return QueueUnavailable(f"Redis {what}", f"Redis at {where} {what}: {why or 'no answer'}")

    async def open(self) -> Opened:
        """Open one connection to the primary and greet. Raises QueueUnavailable, SettingsError."""
        home = self.moved_to
        try:
            async with asyncio.timeout(self.timeout):
                return await self._open_first((home,) if home else await self._nodes())
        except (QueueUnavailable, TimeoutError) as error:
            if self.moved_to == home:
                self.moved_to = None  # it is gone: whoever can be reached says next time where the keys are
            if isinstance(error, QueueUnavailable):
                raise
            raise self.unavailable(UNREACHABLE, "no answer", home) from None

    async def _nodes(self) -> tuple[Node, ...]:
        address = self._address
        return (await sentinel.primary(address, within_s=self.timeout),) if address.service else address.nodes

    async def _open_first(self, nodes: tuple[Node, ...]) -> Opened:
        """The first node that is a primary; what each other one said, if there is none."""
        reasons: list[str] = []
        for node in nodes:
            opener = opener_to(self._address, node, self.timeout / len(nodes))
            try:
                return await self._greeted(opener)
            except (RedisError, OSError, RuntimeError) as error:  # uvloop: RuntimeError where the server hung up
                if "DB index" in str(error) or "SELECT is not allowed" in str(error):
                    raise SettingsError(f"The Redis URL's database cannot be used: {error}.") from error
                reasons.append(self.unavailable(UNREACHABLE, str(error), node).detail)
            finally:
                await opener.disconnect(nowait=True)  # what it has not handed over
        raise QueueUnavailable(f"Redis {UNREACHABLE}", "; ".join(reasons))

    async def _greeted(self, opener: Opener) -> Opened:
        await opener.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        await opener.send_command("INFO", *SECTIONS)
        await opener.send_command("CLIENT", "ID")
        info, client_id = await opener.read_response(), await opener.read_response()
        facts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        in_cluster = facts.get("cluster_enabled") == "1"
        if in_cluster and "{" not in self._prefix:
            raise SettingsError("On a Redis Cluster HUBGATE_PREFIX must hold a hash tag such as {emp}:.")
        if facts.get("role") != "master" and not in_cluster:
            raise OSError("it is a replica, not a primary")
        version = tuple(int(part) for part in facts.get("redis_version", "0").split(".") if part.isdecimal())
        return Opened(hand_over(opener), facts.get("run_id", ""), version, client_id)
