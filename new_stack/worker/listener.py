"""The worker's ear for new work: blocked on it for as long as there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from new_stack.queue import Signal
from new_stack.queue.errors import QueueUnavailable
from new_stack.worker.hands import Hands
from new_stack.worker.station import Station


class WorkListener:
    """Waits for work and claims it in the same round trip, for places that it has reserved in the hands."""

    def __init__(
        self, station: Station, hands: Hands, *, signalled: Callable[[Signal], None], unsure: Callable[[], None]
    ) -> None:
        self._station = station
        self._hands = hands
        self._signalled = signalled
        self._unsure = unsure
        self._wait: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether it is waiting for work now."""
        return self._wait is not None

    async def woken(self, within_s: float) -> bool:
        """Whether the wait that is on now ends within that time."""
        wait = self._wait
        if wait is None:
            return True
        done, _ = await asyncio.wait([wait], timeout=within_s)
        return bool(done)

    def break_off(self) -> None:
        """End the wait; what it may claim meanwhile goes back to the line. It begins anew if there is room."""
        if self._wait is not None:
            self._wait.cancel()

    async def run(self) -> None:
        """Listen for ever."""
        while True:
            await self._hands.until_room()
            self._wait = asyncio.create_task(self._listen())
            try:
                await self._wait
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    self._wait.cancel()
                    raise
            except QueueUnavailable as error:
                self._unsure()
                self._station.outage.noticed(error)
                await self._station.outage.pause()
            finally:
                self._wait = None

    async def _listen(self) -> None:
        with self._hands.reserved() as places:
            if not places:  # a turnover that began meanwhile took them: a wait for nothing would eat a wake-up
                return
            station, wait_ms = self._station, self._station.settings.wait_ms
            leases, signal = await station.queue.wait_and_claim(station.worker_id, places, timeout_ms=wait_ms)
        for lease in leases:
            self._hands.begin(lease)
        if signal is not None:
            self._signalled(signal)
