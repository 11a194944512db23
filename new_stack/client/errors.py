"""The errors that the client raises."""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """The root of the client's errors."""


class ServerUnavailable(ClientError):  # noqa: N818 - the state is the name
    """The server cannot be reached, or cannot serve now. `retry_after_s`: how long it asked the client to wait."""

    def __init__(self, sentence: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class RequestRefused(ClientError):  # noqa: N818 - the answer is the name
    """The server will not do this. `status` is HTTP's (0 over a WebSocket), `fields` lists each bad field and why."""

    def __init__(self, sentence: str, *, status: int = 0, fields: tuple[dict[str, Any], ...] = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.fields = fields


class UnknownJob(RequestRefused):
    """There is no job of this id, or not any more."""


class Conflict(RequestRefused):
    """The id is taken by another job, or the job's state does not allow it."""


class NotServed(ClientError):  # noqa: N818 - the state is the name
    """The server does not support this request (an old hub has no listing, for one)."""


class Retired(NotServed):
    """The server refuses the hub's WebSocket, for now or for good. In mode `auto` the client goes on over HTTP."""


class WaitTimeout(ClientError, TimeoutError):  # noqa: N818 - as asyncio's own
    """`wait` took longer than `timeout_s`. The job goes on."""
