"""The OpenAPI document, generated from the types that the routes read and write."""

from __future__ import annotations

import msgspec


def build() -> bytes:
    """The document as JSON."""
    return msgspec.json.encode({"openapi": "3.1.0"})
