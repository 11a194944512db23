"""A puppet in a process of its own that calls what the stack's own client library has, one line at a time.

    {"client": "kim", "call": "submit", "args": ["draw", {}], "options": {"priority": 3}}       on its standard input
    {"answer": {…}}   or   {"error": {"Conflict": "…", "status": 409}}                          on its standard output

`open` makes a client, asynchronous or blocking, under a name; `at_once` makes several calls at once. It is the
harness's code beside the stack's own: with a copy of the stack first on its path it plays that one. `after` may be
`#3`: the id of the third event of the stream that was read last from its beginning. Of a stream, `most` events
are read.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec

from new_stack.client import BlockingClient, ClientError, HybridClient, JobFailed, Timeouts

REFUSALS: Final = (ClientError, JobFailed, ValueError, TypeError)
"""What a call may raise: the program that calls hears it. A result of another type is a ValueError as well."""
SAID: Final = ("status", "fields", "job_id", "attempts", "retryable")
STREAMS: Final = frozenset({"follow", "follow_many"})


@dataclass
class Picture:
    """What a program may want a result to be."""

    name: str
    width: int = 64


KINDS: Final[dict[str, Any]] = {"int": int, "Picture": Picture}


class Call(msgspec.Struct):
    """One line."""

    client: str
    call: str
    args: list[Any] = []
    options: dict[str, Any] = {}


class Puppet:
    """The clients of one process."""

    def __init__(self, opened: AsyncExitStack) -> None:
        self._opened = opened
        self._clients: dict[str, Any] = {}
        self._ids: list[str] = []
        """The ids of the events of the stream that was read last from its beginning."""

    async def play(self, call: Call) -> Any:
        """Make one call. Raises what it raises."""
        if call.call == "open":
            return await self._open(call.client, **call.options)
        if call.call == "at_once":
            return await asyncio.gather(*(self.answered(one) for one in call.args))
        client = self._clients[call.client]
        if call.call in STREAMS:
            return await self._follow(client, call)
        options, args = dict(call.options), call.args
        if "kind" in options:
            options["kind"] = KINDS[options["kind"]]
        found = getattr(client, call.call)
        if not callable(found):
            return found
        if isinstance(client, BlockingClient):
            return await asyncio.to_thread(found, *args, **options)
        return await found(*args, **options)

    async def answered(self, said: Any) -> dict[str, Any]:
        """The answer to a call, or the error that it raises."""
        try:
            return {"answer": await self.play(msgspec.convert(said, Call))}
        except REFUSALS as error:
            told = {name: getattr(error, name) for name in SAID if getattr(error, name, None)}
            return {"error": {type(error).__name__: str(error)} | told}

    async def _open(
        self, name: str, *, url: str, blocking: bool = False, timeouts: dict[str, float] | None = None, **more: Any
    ) -> str:
        if timeouts is not None:
            more["timeouts"] = Timeouts(**timeouts)
        if blocking:
            plain = BlockingClient(url, **more)
            self._clients[name] = await asyncio.to_thread(plain.__enter__)
            self._opened.push_async_callback(asyncio.to_thread, plain.__exit__, None, None, None)
        else:
            self._clients[name] = await self._opened.enter_async_context(HybridClient(url, **more))
        return "open"

    async def _follow(self, client: Any, call: Call) -> list[Any]:
        options = dict(call.options)
        most = options.pop("most", 1_000_000)
        if str(options.get("after", "")).startswith("#"):
            options["after"] = self._ids[int(options["after"][1:]) - 1]
        stream = getattr(client, call.call)(*call.args, **options)
        if isinstance(stream, AsyncIterator):
            found = await _first(stream, most)
        else:
            found = await asyncio.to_thread(lambda: list(islice(stream, most)))
        if "after" not in options:
            self._ids = [getattr(event, "id", None) or "" for event in found]
        return [{type(event).__name__: event} for event in found]


async def _first(stream: Any, most: int) -> list[Any]:
    found: list[Any] = []
    async with aclosing(stream) as events:
        async for event in events:
            found.append(event)
            if len(found) == most:
                break
    return found


async def main() -> None:
    """Make calls until the input ends."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as opened:
        puppet = Puppet(opened)
        while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
            answer = await puppet.answered(json.loads(line))  # what JSON has not (NaN) is a program's to say, too
            sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main())
