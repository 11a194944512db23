"""Messages as text, and large ones as chunks."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import msgspec

from legacy_hub_sim.core import Style

CHUNK = 1_000_000
"""Characters in one chunk; a message of more is cut."""
PAUSE_SECONDS = 0.05
"""After each chunk."""


class UnsendableError(Exception):
    """A message that cannot be written: text that is no Unicode, or objects in objects without end."""


def text_of(message: dict[str, Any], style: Style) -> str:
    """A message as the hub writes it; raises `UnsendableError` where it cannot be written."""
    try:
        if style is Style.SPACED:
            return json.dumps(message)
        text = compact(message)
        text.encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise UnsendableError(str(error)) from error
    return text


def compact(message: dict[str, Any]) -> str:
    """No spaces, characters as they are, and null for the numbers JSON does not have."""
    try:
        return json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(finite(message), separators=(",", ":"), ensure_ascii=False)


def finite(value: Any) -> Any:
    """A value with null for the numbers JSON does not have."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {name: finite(item) for name, item in value.items()}
        case list():
            return [finite(item) for item in value]
    return value


class Chunk(msgspec.Struct, frozen=True):
    """One `chunked_message`."""

    chunk_id: int
    total_chunks: int
    message_id: str
    message_hash: str
    original_type: str
    job_id: str | None
    content: str

    def text(self) -> str:
        """As it goes out."""
        return json.dumps({"type": "chunked_message", **msgspec.structs.asdict(self)})


def chunks(text: str, message: dict[str, Any], nonce: str) -> list[Chunk]:
    """A large message in pieces; `nonce` makes its id unique."""
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    pieces = [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]
    return [
        Chunk(
            chunk_id=number,
            total_chunks=len(pieces),
            message_id=f"{digest[:8]}-{nonce[:8]}",
            message_hash=digest,
            original_type=str(message.get("type", "unknown")),
            job_id=message.get("job_id"),
            content=piece,
        )
        for number, piece in enumerate(pieces)
    ]
