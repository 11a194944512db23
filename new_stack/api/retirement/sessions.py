"""What a WebSocket does besides serving: it is counted under its caller, and told and ended as its dialect goes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from new_stack.api.guard.peer import PeerGone
from new_stack.api.legacy.messages import Refusal
from new_stack.api.retirement.callers import LATER_DIALECT
from new_stack.api.retirement.features import CONNECT, SUBMISSIONS, counted_as
from new_stack.api.retirement.rules import GONE_CODE, Decision, Standing
from new_stack.api.services import Services
from new_stack.api.streaming.fanout import Subscriber

if TYPE_CHECKING:
    from new_stack.api.legacy.session import Connection

INTRODUCTION_SECONDS: Final = 2.0
"""How long a connection may be silent before it counts as one of the hub's dialect."""


class RetiringSession(ABC):
    """One WebSocket of the hub's protocols."""

    def __init__(self, services: Services, connection: Connection, subscriber: Subscriber) -> None:
        self.services = services
        self.connection = connection
        self.subscriber = subscriber
        self.caller = connection.caller
        self._connected_at = services.clock()
        self._draining: str | None = None
        """Why it may submit no more jobs."""
        self.retired = False
        self._answering = self._due = False
        wait = asyncio.get_running_loop().call_later
        self._introduction: asyncio.TimerHandle | None = wait(INTRODUCTION_SECONDS, self.introduce)
        services.retirement.sessions.add(self)

    @abstractmethod
    async def refuse(self, sentence: str, **more: Any) -> None:
        """Answer with an error."""

    def gone(self) -> None:
        """It has ended."""
        self.services.retirement.sessions.discard(self)
        self.introduce()

    @abstractmethod
    async def answer(self, text: str) -> object:
        """Do what a message asks for; its type, as far as it has one."""

    async def receive(self, text: str) -> None:
        """Serve one message; whatever is wrong with it is answered, and the connection stays open."""
        if not self.retired:  # if so, the refusal that comes next answers it, too
            with self.answering():
                self.count(await self.answer(text))

    async def retired_code(self) -> int:
        """The code with which the connection of a retired session is closed, once that is said; 0 for any other."""
        if not self.retired:
            return 0
        with suppress(PeerGone):
            await self.refuse(self.subscriber.closed or "", code=GONE_CODE)
        return GONE_CODE

    def count(self, kind: object) -> None:
        """Count a message of this type."""
        self.introduce()
        self.services.usage.count(self.caller, counted_as(kind))

    async def turned_away(self, kind: object) -> bool:
        """Whether a message of this type is no longer taken; then it is answered so."""
        if self._draining is None or not isinstance(kind, str) or kind not in SUBMISSIONS:
            return False
        await self.refuse(self._draining, code=GONE_CODE)
        return True

    def introduce(self) -> None:
        """Count the connection: its first message has told the dialect, or none came for a while."""
        if self._introduction is not None:
            self._introduction.cancel()
            self._introduction = None
            self.services.usage.count(self.caller, CONNECT, self._connected_at)

    def speaks_later_dialect(self) -> None:
        """From now on the caller is known to speak it. Raises Refusal where that dialect is not served now."""
        self.caller = msgspec.structs.replace(self.caller, dialect=LATER_DIALECT)
        decision = self.services.retirement.of_session(self)
        self.retire(decision)
        if decision.standing is Standing.REFUSED:
            raise Refusal(decision.sentence)

    @property
    def awaits_jobs(self) -> bool:
        """Whether it waits for the end of a job."""
        return False

    @contextmanager
    def answering(self) -> Iterator[None]:
        """While a message is served: what is to be decided meanwhile waits for its answer, and not for the next."""
        self._answering = True
        try:
            yield
        finally:
            self._answering = False
        if self._due:
            self.decide_soon()

    def decide_soon(self) -> None:
        """Do as is decided for it, once it has answered."""
        self._due = self._answering
        if not self._due:
            self.retire(self.services.retirement.of_session(self))

    def retire(self, decision: Decision) -> None:
        """Serve on, take no more submissions, or end the connection with the reason."""
        self._draining = decision.sentence if decision.standing is Standing.DRAINING else None
        if decision.standing is Standing.REFUSED and self.subscriber.closed is None:
            self.retired = True
            self.subscriber.close(decision.sentence)

    def warn(self, fields: dict[str, Any]) -> None:  # noqa: B027 - only monitors are told
        """Tell a monitor of what is deprecated."""

    async def greet_with(self, frame: dict[str, Any]) -> None:
        """Send a greeting, and in it the notice where there is one."""
        await self.connection.send(self.services.retirement.greeted(self.caller, frame))
