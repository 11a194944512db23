"""What the actors of a recording are called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from harness.cassettes import Role


def role_and_name(path: str) -> tuple[Role, str]:
    """Role and name of who connects to a WebSocket's path; at a path of no role it is a client without a name."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if len(parts) == 3 and parts[0] == "ws" and parts[1] in {"client", "worker", "monitor"} and parts[2]:
        return Role(parts[1]), parts[2]
    return Role.CLIENT, "client"


class Names:
    """Gives names out so that no two actors have one at a time: a second `http` is `http-2`."""

    def __init__(self) -> None:
        self._in_use: set[str] = set()

    @contextmanager
    def taken(self, wish: str) -> Iterator[str]:
        """A name for the time of the context."""
        name, number = wish, 1
        while name in self._in_use:
            number += 1
            name = f"{wish}-{number}"
        self._in_use.add(name)
        try:
            yield name
        finally:
            self._in_use.discard(name)
