"""What a connector's result means: a failure that it reports, else JSON."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

NOTHING: Final = b"null"
"""What a connector that returns nothing has for a result."""


def failure_in(result: Any) -> str | None:
    """The error in a result that reports a failure (`success` is false, or `status` is failed or error), else None."""
    if not isinstance(result, dict):
        return None
    status = result.get("status")
    if result.get("success") is not False and not (isinstance(status, str) and status in {"failed", "error"}):
        return None
    error = result.get("error") or result.get("message") or "the connector reported a failure without an error"
    return error if isinstance(error, str) else msgspec.json.encode(error, enc_hook=str).decode()


def encode_result(result: Any) -> bytes:
    """A result as JSON. Raises ValueError for NaN and infinities and TypeError for bytes, which JSON does not have."""
    return NOTHING if result is None else _strict_json.encode(result).encode()


def _as_plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{type(value).__name__} is not text")
    return msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview), str_keys=True)


_strict_json: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_as_plain)
