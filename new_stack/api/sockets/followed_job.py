"""A job's stream over a WebSocket, for clients that no SSE reaches: the same text, with the same cursors, in messages.

`{"type": "follow_job", "job_id", "after"}` is answered with `{"type": "job_stream", "job_id", "text"}`, as many as it
takes, and after the job's ending with `{"type": "job_stream_end", "job_id", "over": true}`; `over` is false where the
server had to break off.
"""

from __future__ import annotations

from collections.abc import Iterable

from new_stack.api.legacy.messages import Fields, Refusal, job_id_of, text_field
from new_stack.api.services import Services
from new_stack.api.sockets.connection import Connection
from new_stack.api.sse.cursor import resume
from new_stack.api.sse.job_stream import JobStream


class SocketWriter:
    """Puts a stream's text into messages."""

    def __init__(self, connection: Connection, job_id: str) -> None:
        self._connection = connection
        self._job_id = job_id

    async def write(self, data: bytes) -> None:
        """Send one piece. Raises ConnectionGone."""
        await self._connection.send({"type": "job_stream", "job_id": self._job_id, "text": data.decode()})

    async def write_all(self, parts: Iterable[bytes]) -> None:
        """Send each frame. Raises ConnectionGone."""
        for part in parts:
            await self.write(part)


async def follow_job(services: Services, connection: Connection, fields: Fields) -> None:
    """Serve one `follow_job` to its end. Raises Refusal, QueueUnavailable, ConnectionGone."""
    job_id = job_id_of(fields, "follow_job")
    subscriber = services.fanout.subscriber()
    services.fanout.follow_job(subscriber, job_id)
    try:
        history = await services.queue.history(job_id)
        if not history and await services.queue.job(job_id) is None:
            raise Refusal(f"Job {job_id} not found")
        plan = resume(history, text_field(fields, "after"))
        if not plan.over:
            writer = SocketWriter(connection, job_id)
            await JobStream(services, job_id, writer, subscriber).run(plan)
        over = subscriber.closed is None
        await connection.send({"type": "job_stream_end", "job_id": job_id, "over": over})
    finally:
        services.fanout.remove(subscriber, jobs=(job_id,))
