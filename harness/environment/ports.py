"""Ports that nobody uses."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Final

RANGE_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_EPHEMERAL: Final = 32_768
LOWEST: Final = 20_000
ATTEMPTS: Final = 200
_CHANCE: Final = random.SystemRandom()
"""Processes that begin at the same moment must not draw the same ports."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether one could listen there at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """A port free at this moment, from below the system's ephemeral range.

    A port of that range may become the near end of anybody's connection between this answer and its use; one below it
    is taken only by somebody who wants just that one. Raises OSError where there is none.
    """
    for _ in range(ATTEMPTS):
        port = _CHANCE.randrange(LOWEST, max(LOWEST + 1_000, _ephemeral_from()))
        if is_free(port, host):
            return port
    raise OSError(f"no free port was found on {host} from {LOWEST} on")


def _ephemeral_from() -> int:
    try:
        return int(RANGE_FILE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL_EPHEMERAL
