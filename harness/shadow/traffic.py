"""What the proxy tells the follower of its traffic, and the frames in which it does: a length, then msgpack."""

from __future__ import annotations

from asyncio import IncompleteReadError, StreamReader
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.cassettes.record import Redaction

_LENGTH: Final = 4


class Rules(msgspec.Struct, frozen=True):
    """The arguments of a `Redaction`."""

    paths: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def redaction(self) -> Redaction:
        """What blanks by these rules. Raises BadRule."""
        return Redaction(**msgspec.structs.asdict(self))


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the follower has to know. It comes first."""

    primary: str
    candidate: str
    out: Path
    began: float
    """When the proxy began, by the machine's monotonic clock."""
    sample: float
    """The share of clients that are followed, 0 to 1."""
    page: tuple[str, int]
    """Host and port of the live page."""
    token: str | None = None
    """Of the candidate, where it is another than the clients have."""
    deviations: Path | None = None
    rules: Rules = Rules()
    patience_s: float = 30.0
    """How long the candidate may be behind the hub before what it has not told counts as missing."""


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What every message has: a number that no other connection or request has, and ms since the proxy began."""

    number: int
    at: float


class Opened(_Message, frozen=True, tag="open"):
    """A client's WebSocket is open."""

    client: str
    path: str
    headers: dict[str, str]


class Sent(_Message, frozen=True, tag="sent"):
    """The client sent a frame."""

    data: Any  # str or bytes: msgspec knows no union of the two, msgpack keeps them apart


class Received(_Message, frozen=True, tag="received"):
    """The hub sent a frame."""

    data: Any  # str or bytes: msgspec knows no union of the two, msgpack keeps them apart


class Left(_Message, frozen=True, tag="left"):
    """The client closed the connection, or it was cut."""

    orderly: bool
    code: int


class Ended(_Message, frozen=True, tag="ended"):
    """The connection has ended."""

    code: int
    reason: str


class Asked(_Message, frozen=True, tag="asked"):
    """An HTTP request."""

    client: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answered(_Message, frozen=True, tag="answered"):
    """The hub's answer to it."""

    status: int
    body: bytes


class Lost(_Message, frozen=True, tag="lost"):
    """From here on nothing more is told of that connection: the follower did not keep up."""


class PassedBy(_Message, frozen=True, tag="passed"):
    """What was not followed since the last time, by reason."""

    counts: dict[str, int]


Message = Opened | Sent | Received | Left | Ended | Asked | Answered | Lost | PassedBy

_encoder: Final = msgspec.msgpack.Encoder(enc_hook=str)
_decoder: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)


def framed(value: Message | Settings) -> bytes:
    """A message as it goes over the pipe."""
    body = _encoder.encode(value)
    return len(body).to_bytes(_LENGTH, "big") + body


async def read_settings(pipe: StreamReader) -> Settings:
    """The first frame."""
    return msgspec.msgpack.decode(await _body(pipe), type=Settings, dec_hook=_path)


async def read_message(pipe: StreamReader) -> Message | None:
    """The next message, None once the proxy has ended."""
    try:
        return _decoder.decode(await _body(pipe))
    except IncompleteReadError:
        return None


async def _body(pipe: StreamReader) -> bytes:
    length = int.from_bytes(await pipe.readexactly(_LENGTH), "big")
    return await pipe.readexactly(length)


def _path(kind: type, value: Any) -> Any:
    return Path(value) if kind is Path else value
