"""A client's connection with what the hub's had not: the later dialect, and job streams in messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from new_stack.api.legacy import client_session as hub
from new_stack.api.legacy.client_session import Action, ClientSession
from new_stack.api.legacy.hub import HUB
from new_stack.api.legacy.messages import Fields, job_id_of
from new_stack.api.legacy.session import Connection
from new_stack.api.legacy.v2.client import V2, is_v2_message, unsubscribed
from new_stack.api.services import Services
from new_stack.api.sse.over_sockets import SocketStreams


class LaterClientSession(ClientSession):
    """One client: greeted as the hub does, and spoken to in the later dialect once it has used it."""

    def __init__(self, services: Services, connection: Connection, name: str) -> None:
        super().__init__(services, connection, name)
        self.actions = {**hub.ACTIONS, **BOTH}
        self._streams = SocketStreams(services, connection, self.refuse)

    @property
    def awaits_jobs(self) -> bool:
        """Whether it waits for the end of a job."""
        return bool(super().awaits_jobs or self._streams.count)

    def leave(self) -> None:
        """Forget all subscriptions."""
        self._streams.cancel()
        super().leave()

    async def handle(self, kind: str, fields: Fields) -> None:
        """Serve one message."""
        if self.dialect is HUB and is_v2_message(fields):
            self.dialect, self.actions = V2, ACTIONS
            self.speaks_later_dialect()
            await self.greet()
        await super().handle(kind, fields)

    async def follow_stream(self, fields: Fields) -> None:
        """Send a job's stream as messages."""
        self._streams.start(fields)

    async def unsubscribe(self, fields: Fields) -> None:
        """Follow a job no more."""
        job_id = job_id_of(fields)
        self.unfollow(job_id)
        await self.connection.send(unsubscribed(job_id, self.now()))

    async def sync(self, fields: Fields) -> None:
        """A page of the later dialect believes that a job's state is stale: all monitors, of every process, get it."""
        job = await self.job(fields)
        await self.services.queue.show(job.id)
        await self.send_after_pending(self.dialect.status(job, self.now()))


BOTH: Final[Mapping[str, Action]] = {
    "follow_job": LaterClientSession.follow_stream,
    "sync_job_state": LaterClientSession.sync,
}
"""What is served in either dialect."""

ACTIONS: Final[Mapping[str, Action]] = {
    "submit_job": ClientSession.submit,
    "subscribe_progress": ClientSession.subscribe,
    "unsubscribe_progress": LaterClientSession.unsubscribe,
    "get_job_status": ClientSession.status,
    "cancel_job": ClientSession.cancel,
    "retry_job": ClientSession.retry,
    **BOTH,
}
"""The later dialect's messages that ask for something."""
