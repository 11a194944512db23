"""`Queue`: the one way that Python touches the jobs in Redis. Every change of state is one Redis Function."""

from __future__ import annotations

from typing import Self

from new_stack.queue import library
from new_stack.queue.calls import Calls
from new_stack.queue.holders import Holders
from new_stack.queue.jobs import LeaseState, Page, Signal, Wake
from new_stack.queue.readers import Readers
from new_stack.queue.settings import QueueSettings
from new_stack.queue.submitters import Submitters

__all__ = ["LeaseState", "Page", "Queue", "Signal", "Wake"]


class Queue(Submitters, Holders, Readers):
    """A connection to the queue. Safe to share between the tasks of one event loop."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._prepare_submitting()
        self._prepare_holding()

    @property
    def settings(self) -> QueueSettings:
        """What the queue was opened with."""
        return self._calls.settings

    @classmethod
    async def connect(cls, settings: QueueSettings, *, install: bool = True) -> Self:
        """Open the queue and, with `install`, load the functions library where it is missing or older.

        Raises QueueUnavailable, RedisTooOld, SettingsError.
        """
        calls = Calls(settings, install=install)
        try:
            if install:
                await library.install(calls.main, calls.keys.pending)
            else:
                await library.loaded_version(calls.main, calls.keys.pending)
        except BaseException:
            calls.close()
            raise
        return cls(calls)

    async def close(self) -> None:
        """Close the connections."""
        self._calls.close()
