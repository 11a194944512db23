"""A connection that goes where the keys are: to another node of a cluster, or to the primary after a failover."""

from __future__ import annotations

from typing import Final
from weakref import WeakSet

from new_stack.queue.connection import Command, Connection, Reply
from new_stack.queue.endpoint import Endpoint
from new_stack.queue.errors import QueueError
from new_stack.queue.failover.refusals import RedisMoved

MOVES: Final = 4
"""How often in a row a call follows from node to node: their views differ only while a slot is on its way."""


class FollowingConnection(Connection):
    """One of several connections of an `Endpoint`, which are all to the same server.

    Where one is opened to another server than before (a failover, an address that moved), those to the old one are
    closed: a worker must not claim on one and renew on the other.
    """

    def __init__(self, endpoint: Endpoint, *, others: WeakSet[Connection]) -> None:
        super().__init__(endpoint)
        self._others = others
        self._others.add(self)

    async def call_together(self, *commands: Command, patience: float = 0) -> list[Reply]:
        """Send commands in one go, where the keys have moved to the node that has them. Raises the first error."""
        for _ in range(MOVES):
            try:
                return await super().call_together(*commands, patience=patience)
            except RedisMoved:  # not carried out: it may be sent again
                continue
        return await super().call_together(*commands, patience=patience)

    def _refusal(self, reply: Exception) -> QueueError:
        error = super()._refusal(reply)
        if isinstance(error, RedisMoved):
            self._endpoint.moved_to = error.node
        return error

    async def _open(self) -> None:
        await super()._open()
        for other in self._others:
            if other.opened is not None and self.opened is not None and other.opened.run_id != self.opened.run_id:
                other.close()
