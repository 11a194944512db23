"""Programs that use the stack's own client library, in a process that has the stack's code and nothing of ours."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

ANSWER_S: Final = 20.0
LINE_LIMIT: Final = 32 * 1024 * 1024
_json: Final = json.JSONDecoder()


class Library:
    """Clients under names, each of which calls one thing after the other (`harness/workers/client_puppet.py`)."""

    def __init__(self, puppet: asyncio.subprocess.Process) -> None:
        self._puppet = puppet

    async def open(self, client: str, url: str, **options: Any) -> None:
        """Make a client of that server."""
        await self.call(client, "open", options={"url": url} | options)

    async def call(self, client: str, call: str, *args: Any, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """What a call is answered: an `answer`, or the `error` that it raises."""
        said = {"client": client, "call": call, "args": args, "options": options or {}}
        sender, receiver = self._puppet.stdin, self._puppet.stdout
        assert sender is not None
        assert receiver is not None
        sender.write(json.dumps(said).encode() + b"\n")
        line = await asyncio.wait_for(receiver.readline(), ANSWER_S)
        assert line, f"the client library broke down at {call} {said['args']} {said['options']}"
        found: dict[str, Any] = json.loads(line)
        return found

    async def at_once(self, *calls: tuple[Any, ...]) -> list[Any]:
        """What several calls are answered that are made at once, each with its client, its name, arguments, options.

        Raises AssertionError where one is refused.
        """
        said = [dict(zip(("client", "call", "args", "options"), call, strict=False)) for call in calls]
        answers = (await self.call("", "at_once", *said))["answer"]
        assert not [one for one in answers if "error" in one], answers
        return [one["answer"] for one in answers]

    async def asked(self, client: str, text: str) -> list[Any]:
        """What a line of a book is answered: `submit ["draw", {}] {"priority": 3}`; one line for each event."""
        call, _, rest = text.partition(" ")
        args: list[Any] = []
        options: dict[str, Any] = {}
        while rest := rest.strip():
            value, end = _json.raw_decode(rest)
            rest = rest[end:]
            args, options = (value, options) if isinstance(value, list) else (args, value)
        answer = await self.call(client, call, *args, options=options)
        found = answer.get("answer", answer)
        return found if isinstance(found, list) else [found]


def told(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events as the library told them; a gap has a reason and no kind."""
    return [next(iter(one.values())) for one in events]


@asynccontextmanager
async def library(path: str) -> AsyncIterator[Library]:
    """A process with the client library of the stack that comes first on the path."""
    puppet = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "harness.workers.client_puppet"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=dict(os.environ) | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        limit=LINE_LIMIT,
    )
    try:
        yield Library(puppet)
    finally:
        if puppet.returncode is None:
            puppet.kill()
        await puppet.wait()
