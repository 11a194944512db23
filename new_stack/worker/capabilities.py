"""What a worker tells of itself beyond its services: its machine, what an operator states, and what connectors add."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from new_stack.settings import SettingsError

LIMIT_BYTES: Final = 8_192
"""How large capabilities may be as JSON: they travel with every heartbeat."""


def parse(text: str) -> dict[str, Any]:
    """Read WORKER_CAPABILITIES: a JSON object, or the path of a file that holds one. Raises SettingsError."""
    source = text.strip()
    try:
        document = source if source.startswith("{") else Path(source).read_text(encoding="utf-8")
        capabilities = msgspec.json.decode(document, type=dict[str, Any])
    except OSError as error:
        raise SettingsError(f"WORKER_CAPABILITIES: the file {source} cannot be read: {error.strerror}.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SettingsError(f"WORKER_CAPABILITIES is not a JSON object: {error}.") from error
    return checked(capabilities, "WORKER_CAPABILITIES")


def checked(capabilities: dict[str, Any], source: str) -> dict[str, Any]:
    """The same, where it is not too large. Raises SettingsError."""
    size = len(msgspec.json.encode(capabilities))
    if size > LIMIT_BYTES:
        raise SettingsError(f"{source}: capabilities have {size} bytes as JSON; the limit is {LIMIT_BYTES}.")
    return capabilities


def of_this_machine() -> dict[str, Any]:
    """Processors and memory, in the words in which jobs ask for them."""
    ram_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpu_cores": os.cpu_count(), "ram_gb": round(ram_bytes / 1e9, 1)}


def merged(stated: dict[str, Any], by_connectors: list[dict[str, Any]]) -> dict[str, Any]:
    """All that is told. What connectors list (models, components) is put together; what an operator states wins;
    `hardware` is merged into the machine's.

    Raises SettingsError where all together are too large.
    """
    found: dict[str, Any] = {}
    for one in by_connectors:
        for name, value in one.items():
            both = isinstance(value, list) and isinstance(found.get(name), list)
            found[name] = [*found[name], *(item for item in value if item not in found[name])] if both else value
    found |= stated
    hardware = found.get("hardware")
    found["hardware"] = of_this_machine() | (hardware if isinstance(hardware, dict) else {})
    return checked(found, "this worker's connectors and WORKER_CAPABILITIES together")
