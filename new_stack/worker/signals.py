"""The worker's ear for signals: somebody cancelled a job in hand. It listens always, also while there is no room."""

from __future__ import annotations

from collections.abc import Callable

from new_stack.queue import Signal
from new_stack.queue.errors import QueueUnavailable
from new_stack.worker.station import Station


async def listen_for_signals(station: Station, signalled: Callable[[Signal], None]) -> None:
    """Pass on every signal, for ever."""
    wait_ms = station.settings.wait_ms
    while True:
        try:
            _, signal = await station.queue.wait(station.worker_id, for_work=False, timeout_ms=wait_ms)
        except QueueUnavailable as error:
            station.outage.noticed(error)
            await station.outage.pause()
        else:
            if signal is not None:
                signalled(signal)
