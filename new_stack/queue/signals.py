"""Signals to one worker: an attempt that it runs was cancelled."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from new_stack.queue.function_caller import FunctionCaller

WAIT_LIMIT_MS: Final = 5_000
"""Longest wait that blocks at the server: so long, at most, a connection whose other end is gone is not noticed."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A message to one worker: this attempt of this job was cancelled."""

    job_id: str
    attempt: int


class SignalReceiver:
    """Waits for the signals of any number of workers of one process."""

    def __init__(self, caller: FunctionCaller) -> None:
        self._caller = caller

    async def wait_for_signal(self, worker_id: str, *, timeout_ms: int = WAIT_LIMIT_MS) -> Signal | None:
        """Block until there is a signal for this worker, or the time-out."""
        wait_s = min(timeout_ms, WAIT_LIMIT_MS) / 1000
        async with self._caller.blocking() as connection:
            signals = self._caller.key(f"signals:{worker_id}")
            return signal_of(await connection.call("BLPOP", signals, wait_s, patience=wait_s), signals)


def signal_of(reply: Any, signals: str) -> Signal | None:
    """The signal that ended a wait; None where it was a wake-up or the time-out. `signals` is its list."""
    if reply is None or reply[0] != signals.encode():
        return None
    attempt, _, job_id = reply[1].decode().partition(" ")
    return Signal(job_id=job_id, attempt=int(attempt))
