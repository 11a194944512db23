"""Ports that nobody uses, and probes: ways to ask whether a process is ready. A probe answers at once."""

from __future__ import annotations

import fcntl
import functools
import http.client
import itertools
import os
import random
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

RANGE_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_EPHEMERAL: Final = 32_768
LOWEST: Final = 20_000
_PLACES: Final = itertools.count(random.SystemRandom().randrange(1 << 20))
"""Each port is given once: two servers that start at the same moment on one port would both seem to be ready. Processes
begin at places of their own, and none gives out what another one that runs has given."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether one could listen there at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port free at this moment, from below the system's ephemeral range.

    A port of that range may become the near end of anybody's connection between this answer and its use; one below it
    is taken only by somebody who wants just that one. Raises OSError where there is none.
    """
    ports = max(1_000, _ephemeral_from() - LOWEST)
    for _ in range(ports):
        port = LOWEST + next(_PLACES) % ports
        if _is_ours_to_give(port) and is_free(port):
            return port
    raise OSError(f"no free port was found from {LOWEST} on")


def _is_ours_to_give(port: int) -> bool:
    """Lock the byte of that port in a file that all our processes know, until this one ends: a server may take seconds
    from the answer to its listening, in which another process would find the port free, too."""
    try:
        fcntl.lockf(_given_ports(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@functools.cache
def _given_ports() -> int:
    path = Path(tempfile.gettempdir()) / f"hubgate-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _ephemeral_from() -> int:
    try:
        return int(RANGE_FILE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return USUAL_EPHEMERAL


class Logged(Protocol):
    """A process, as far as probes look at it."""

    def log_text(self) -> str:
        """What it wrote since its last start."""
        ...


Probe = Callable[[Logged], bool]

ANSWER_S = 1.0
"""How long one probe waits for an answer before it says "not yet"."""


def http_ok(host: str, port: int, path: str) -> Probe:
    """Ready when GET of that path answers 200."""

    def probe(_: Logged) -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=ANSWER_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe


def redis_pong(host: str, port: int) -> Probe:
    """Ready when PING is answered (a server that still loads its append-only file says LOADING)."""

    def probe(_: Logged) -> bool:
        return answers_ping(host, port)

    return probe


def answers_ping(host: str, port: int) -> bool:
    """Whether a Redis there answers PING."""
    try:
        with socket.create_connection((host, port), timeout=ANSWER_S) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def log_says(text: str) -> Probe:
    """Ready when the process has logged that text since its last start."""

    def probe(process: Logged) -> bool:
        return text in process.log_text()

    return probe
