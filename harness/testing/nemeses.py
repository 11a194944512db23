"""What a test may break of a stack that this run started: each is an async context, healed at its end."""

from __future__ import annotations

from typing import Final

from harness.errors import CouldNotRun
from harness.faults import FlushFunctions, KillServers, Nemesis, Plan, Signal, Waves
from harness.history import HistoryWriter
from harness.processes import Valkey
from harness.testing.servers import OwnServer


class Nemeses:
    """The nemeses of one stack, all by one seed; `writer` has the history of what they did.

    async with nemesis.workers(Signal.KILL, waves=2) as killing:
        await killing.done()
    """

    def __init__(self, server: OwnServer, *, seed: int) -> None:
        self.writer: Final = HistoryWriter()
        self._deployment = server.deployment
        self._seed = seed

    def workers(
        self, how: Signal = Signal.KILL, *, share: float = 1 / 3, waves: int = 1, every_s: float = 0.5
    ) -> Nemesis:
        """Kill, stop or end a share of the workers, so many times, and start them again. Raises CouldNotRun."""
        workers = self._deployment.workers
        if not workers:
            raise CouldNotRun("the stack has no workers that could be struck")
        return Waves(workers, self.writer, seed=self._seed, how=how, share=share, waves=waves, every_s=every_s)

    def servers(self, how: Signal = Signal.KILL, *, times: int = 1, every_s: float = 0.5) -> Nemesis:
        """The same with the API's processes, one at a time."""
        return KillServers(
            self._deployment.servers, self.writer, seed=self._seed, how=how, times=times, every_s=every_s
        )

    def functions(self, *, times: int = 1, every_s: float = 0.5) -> Nemesis:
        """Take the queue's functions out of Redis. Raises CouldNotRun where the Redis is not of this run."""
        redis = self._deployment.redis
        if not isinstance(redis, Valkey):
            raise CouldNotRun("this Redis was given: its functions may be somebody else's, too")
        return FlushFunctions(redis, self.writer, seed=self._seed, plan=Plan(times=times, every_s=every_s, for_s=0.1))
