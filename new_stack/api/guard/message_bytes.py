"""Bounds what all WebSockets hold of messages that have begun to arrive and are not handled yet."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import WebSocketError, WSCloseCode, web

from new_stack.api.guard.limits import ByteBudget
from new_stack.api.http.problems import ProblemError

BROKEN_OFF: Final = (True, b"")
"""A parser's answer that it takes no more."""


class MessageBytes:
    """The bytes of one connection's messages, counted between its transport and aiohttp's parser.

    aiohttp puts a message together before it shows any of it: a hundred unfinished ones would fill the process.
    """

    def __init__(self, budget: ByteBudget, request: web.Request, socket: web.WebSocketResponse) -> None:
        self._budget = budget
        # aiohttp has no public place where bytes can be counted.
        self._queue: Any = socket._reader  # noqa: SLF001
        self._parser: Any = socket._parser  # noqa: SLF001
        self._unfinished = 0
        self._held = 0
        request.protocol._payload_parser = self  # noqa: SLF001

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Pass bytes on, unless there is no room for them: then the connection is closed with 1013."""
        try:
            self._budget.take(len(data))
        except ProblemError as full:
            self._queue.set_exception(WebSocketError(WSCloseCode.TRY_AGAIN_LATER, str(full)))
            return BROKEN_OFF
        self._held += len(data)
        before = self._queue._size  # noqa: SLF001
        answer: tuple[bool, bytes] = self._parser.feed_data(data)
        self._unfinished = 0 if self._queue._size > before else self._unfinished + len(data)  # noqa: SLF001
        return answer

    def feed_eof(self) -> None:
        """The other side has closed."""
        self._parser.feed_eof()

    def handled(self) -> None:
        """The messages taken so far are handled: give back what is neither unfinished nor waiting."""
        self._give_back(self._unfinished + self._queue._size)  # noqa: SLF001

    def close(self) -> None:
        """Nothing is held any more."""
        self._give_back(0)

    def _give_back(self, keep: int) -> None:
        if keep < self._held:
            self._budget.give_back(self._held - keep)
            self._held = keep
