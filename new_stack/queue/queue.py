"""`Queue`: the one way that Python touches the jobs in Redis. Every change of state is one Redis Function."""

from __future__ import annotations

from typing import Self

from new_stack.queue.consumer import Consumer
from new_stack.queue.function_caller import FunctionCaller
from new_stack.queue.producer import Producer
from new_stack.queue.reader import Reader
from new_stack.queue.settings import QueueSettings


class Queue:
    """Producer, consumer and reader over the same connections. Safe to share between the tasks of one event loop.

    Its methods are theirs; code that needs only one privilege takes that one.
    """

    def __init__(self, caller: FunctionCaller) -> None:
        self._caller = caller
        self.settings: QueueSettings = caller.settings
        self.producer = producer = Producer(caller)
        self.submit = producer.submit
        self.submit_many = producer.submit_many
        self.check_writable = producer.check_writable
        self.cancel = producer.cancel
        self.retry = producer.retry
        self.show = producer.show
        self.consumer = consumer = Consumer(caller)
        self.claim = consumer.claim
        self.end = consumer.end
        self.end_and_claim = consumer.end_and_claim
        self.end_wait = consumer.end_wait
        self.heartbeat = consumer.heartbeat
        self.note = consumer.note
        self.poll = consumer.poll
        self.progress = consumer.progress
        self.reap = consumer.reap
        self.renew = consumer.renew
        self.unregister = consumer.unregister
        self.wait_for_signal = consumer.wait_for_signal
        self.wait_and_claim = consumer.wait_and_claim
        self.reader = reader = Reader(caller)
        self.counts = reader.counts
        self.events = reader.events
        self.explain = reader.explain
        self.events_and_end = reader.events_and_end
        self.first_event_id = reader.first_event_id
        self.history = reader.history
        self.job = reader.job
        self.jobs = reader.jobs
        self.last_event_id = reader.last_event_id
        self.ping = reader.ping
        self.position = reader.position
        self.workers = reader.workers

    @classmethod
    async def connect(cls, settings: QueueSettings, *, install: bool = True) -> Self:
        """Open the queue and, with `install`, load the functions library where it is missing or older.

        Raises QueueUnavailable, RedisTooOld, SettingsError.
        """
        caller = FunctionCaller(settings, install=install)
        try:
            await caller.start()
        except BaseException:
            caller.close()
            raise
        return cls(caller)

    async def close(self) -> None:
        """Close the connections."""
        self._caller.close()
