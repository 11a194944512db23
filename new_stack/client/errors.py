"""What a client of the server may have to deal with."""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """The root of the client's errors."""


class ServerUnavailable(ClientError):  # noqa: N818 - the state is the name
    """The server cannot be reached, or says that it cannot serve now; trying again later may help."""


class RequestRefused(ClientError):  # noqa: N818 - the answer is the name
    """The server will not do this. `status` is HTTP's (0 over a WebSocket), `fields` names what is wrong with which."""

    def __init__(self, sentence: str, *, status: int = 0, fields: tuple[dict[str, Any], ...] = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.fields = fields
        self.repeated = False
        """Whether an earlier try of the same request broke off, so that it may be what stands in the way."""


class UnknownJob(RequestRefused):
    """There is no job of this id, or not any more."""


class Conflict(RequestRefused):
    """The id is taken by another job, or the job's state does not allow it."""


class NotServed(ClientError):  # noqa: N818 - the state is the name
    """The server does not speak this part of the protocol (an old hub has no listing, for one)."""


class WaitedTooLong(ClientError, TimeoutError):  # noqa: N818 - as above
    """The time given was over first. The job goes on."""
