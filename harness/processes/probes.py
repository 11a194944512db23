"""Ways to ask whether a process is ready. A probe answers at once: true, or false for "not yet"."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from typing import Protocol


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
