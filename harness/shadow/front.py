"""The shadow as its clients meet it: a proxy before the hub, and beside it the process that follows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Final, Self

from harness.cassettes.record.proxy import Proxy
from harness.processes import services
from harness.shadow.tap import Tap
from harness.shadow.traffic import Message, Settings, framed
from harness.tasks import called_off

MOST_WAITING: Final = 64_000_000
"""Bytes on their way to the follower. What comes beyond them is dropped, and counted."""
START_AGAIN_S: Final = 1.0
STOP_S: Final = 20.0
"""For the follower's last comparisons."""


class Follower:
    """The process that plays the traffic on the candidate and compares. It is no part of any client's way.

    It has an interpreter of its own, so that neither its work nor its death costs the proxy anything. Where it ends on
    its own it is started again, and what was open then is not compared.
    """

    def __init__(self, settings: Settings, remark: Callable[[str], object]) -> None:
        self._settings, self._remark = settings, remark
        self._process: asyncio.subprocess.Process | None = None
        self._supervising: asyncio.Task[None] | None = None

    def put(self, message: Message) -> bool:
        """Send a message, if the follower keeps up."""
        pipe = self._process.stdin if self._process is not None else None
        if pipe is None or pipe.transport.is_closing() or pipe.transport.get_write_buffer_size() > MOST_WAITING:
            return False
        pipe.write(framed(message))
        return True

    async def __aenter__(self) -> Self:
        await self._start()
        self._supervising = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let it end its comparisons, but not for long."""
        await called_off(self._supervising)
        if self._process is not None and self._process.returncode is None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_S)
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return self._process.pid if self._process is not None else None

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "harness.shadow.follower"),
            stdin=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": services.python_path()},
            start_new_session=True,  # Ctrl-C is for the proxy, which then ends this
        )
        if self._process.stdin is not None:
            self._process.stdin.write(framed(self._settings))

    async def _supervise(self) -> None:
        while self._process is not None:
            status = await self._process.wait()
            self._remark(f"the follower ended with status {status}: it is started again")
            await asyncio.sleep(START_AGAIN_S)
            await self._start()


class Shadow:
    """Proxy and follower, as an async context."""

    def __init__(
        self, settings: Settings, *, host: str = "127.0.0.1", port: int = 0, remark: Callable[[str], object]
    ) -> None:
        self.follower: Final = Follower(settings, remark)
        self._tap = Tap(settings.sample, self.follower, began=settings.began)
        self.proxy: Final = Proxy(settings.primary, self._tap, host=host, port=port)

    async def __aenter__(self) -> Self:
        await self.follower.__aenter__()
        try:
            await self.proxy.__aenter__()
        except BaseException:
            await self.follower.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.proxy.__aexit__()
        self._tap.tell_counts()
        await self.follower.__aexit__()
