"""Counts what each client uses, in this process, and adds it to Redis now and then in as few calls as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from new_stack.api.retirement.callers import Caller
from new_stack.log import LastingFailure
from new_stack.queue.errors import QueueError, QueueUnavailable
from new_stack.queue.usage import CLIENTS_AT_ONCE, REFUSED, ClientCount, Counted, Refused, UsageStore

LOOK_SECONDS: Final = 1.0
SECONDS_PER_USE: Final = 0.02
FLUSH_SECONDS: Final = 30.0
"""A killed server loses what it has counted since it last told Redis. It tells as often as takes Redis a thousandth of
its time (a use takes some 20 µs), within the first and the last of these. Who is asked for the usage tells first."""
RETRY_SECONDS: Final = 5.0
LAST_FLUSH_SECONDS: Final = 2.0
HELD: Final = 20_000
"""How many different uses wait for Redis at most; what is new beyond them is not counted."""


class UsageCounter:
    """The counts that Redis does not have yet."""

    def __init__(self, store: UsageStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._uses: dict[tuple[Caller, str], list[float]] = {}
        """How often, and when last (s since the epoch)."""
        self._refusals: dict[str, list[Refused]] = {}
        self.uncounted = 0

    def count(self, caller: Caller, message: str, at: float | None = None) -> None:
        """A client has sent a message, or made a request or a connection: now, or at that time (s since the epoch)."""
        at = self._clock() if at is None else at
        use = self._uses.get((caller, message))
        if use is not None:
            use[0] += 1
            use[1] = max(use[1], at)
        elif len(self._uses) < HELD:
            self._uses[caller, message] = [1, at]
        else:
            self.uncounted += 1

    def refuse(self, caller: Caller, began_at: float | None, in_flight: int) -> None:
        """A client was turned away; `began_at` (s) is the beginning of the brown-out, None where the switch is off."""
        self.count(caller, REFUSED)
        if began_at is not None:
            refused = Refused(int(began_at * 1000), int(self._clock() * 1000), in_flight)
            self._refusals.setdefault(caller.client, []).append(refused)

    async def flush(self) -> None:
        """Add everything to Redis; what it does not take now is kept for the next time. Raises QueueError."""
        waiting = list(self._take())
        while waiting:
            try:
                await self._store.add(waiting[:CLIENTS_AT_ONCE])
            except QueueError:
                self._put_back(waiting)
                raise
            del waiting[:CLIENTS_AT_ONCE]

    def _take(self) -> Iterator[ClientCount]:
        uses, self._uses = self._uses, {}
        refusals, self._refusals = self._refusals, {}
        clients: dict[str, list[Counted]] = {}
        for (caller, message), (often, at) in uses.items():
            counted = Counted(caller.way, caller.agent, message, int(at * 1000), int(often))
            clients.setdefault(caller.client, []).append(counted)
        for client, counts in clients.items():
            counts.sort(key=lambda counted: counted.at)  # what came first after a refusal says how it came back
            yield ClientCount(client, counts, refusals.get(client, []))

    def _put_back(self, waiting: list[ClientCount]) -> None:
        for client in waiting:
            for use in client.uses:
                protocol, _, dialect = use.way.partition(" ")
                key = Caller(client.client, use.agent, protocol, dialect), use.message
                known = self._uses.setdefault(key, [0, use.at / 1000])
                known[0] += use.count
            self._refusals.setdefault(client.client, [])[:0] = client.refusals

    async def run(self) -> None:
        """Add to Redis now and then, sooner where little waits or too much, and once more at the end."""
        silent_s, failure = 0.0, LastingFailure("usage")
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                silent_s += LOOK_SECONDS
                if not self._uses or silent_s < silence_for(len(self._uses)):
                    continue
                silent_s = 0.0
                try:
                    await self.flush()
                    failure.note("")
                except QueueError as error:
                    if not isinstance(error, QueueUnavailable):
                        failure.note(error.detail)
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            with suppress(QueueError, TimeoutError):
                async with asyncio.timeout(LAST_FLUSH_SECONDS):
                    await self.flush()


def silence_for(uses: int) -> float:
    """How many seconds lie between one telling and the next while so many different uses wait."""
    return LOOK_SECONDS if uses >= HELD // 2 else min(uses * SECONDS_PER_USE, FLUSH_SECONDS)
