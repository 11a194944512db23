"""`Queue`: the one way that Python touches the jobs in Redis. Every change of state is one Redis Function."""

from __future__ import annotations

from typing import Self

from new_stack.queue.consumer import Consumer
from new_stack.queue.function_caller import FunctionCaller
from new_stack.queue.history import History
from new_stack.queue.operation import Operator
from new_stack.queue.producer import Producer
from new_stack.queue.reader import Reader
from new_stack.queue.settings import QueueSettings
from new_stack.queue.usage import UsageStore


class Queue(Producer, Consumer, Reader, History, Operator):
    """Producer, consumer, reader (of jobs, and of what happened to them) and operator over the same connections.

    Any task of one event loop may use it. Code that needs only one privilege takes that one's type.
    """

    def __init__(self, caller: FunctionCaller) -> None:
        for role in (Producer, Consumer, Reader, History, Operator):
            role.__init__(self, caller)
        self.settings: QueueSettings = caller.settings
        self.usage = UsageStore(caller)

    @classmethod
    async def connect(cls, settings: QueueSettings, *, install: bool = True) -> Self:
        """Open the queue and, with `install`, load the functions library where it is missing or older.

        Raises QueueUnavailable, RedisTooOld, SettingsError.
        """
        queue = cls(FunctionCaller(settings, install=install))
        try:
            await queue.start()
        except BaseException:
            await queue.close()
            raise
        return queue

    async def start(self) -> None:
        """Look whether the server can do what the settings ask for, and load the library where it is missing.

        Raises QueueUnavailable, RedisTooOld, SettingsError.
        """
        await self._caller.start()

    async def close(self) -> None:
        """Close the connections."""
        self._caller.close()
