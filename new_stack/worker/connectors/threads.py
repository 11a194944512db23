"""`run_in=thread`: a connector whose code blocks runs in threads, and blocks neither the worker nor other jobs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from new_stack.queue.jobs import ProgressUpdate
from new_stack.worker.connectors import Connector, JobContext, JobFailed, ProgressSink

CLOSE_S: Final = 5.0
"""How long a thread's connector may take to close; a thread that is blocked longer is left behind."""

Outcome = tuple[BaseException | None, Any]
"""What a connector raised, or else its result."""


class ThreadedConnector(Connector):
    """Gives each job that runs at once a thread, with an event loop and an instance of the connector of its own.

    Threads are started when they are needed and used again. One that ignores that its job was stopped gets no other
    job before it has given way.
    """

    def __init__(self, build: Callable[[], Connector]) -> None:
        first = build()
        super().__init__(first.settings)
        self._build = build
        self._first = first
        self._lanes = [Lane(first)]
        self._free: list[Lane] = []

    async def open(self) -> None:
        """Open the first thread's connector, so that what is wrong with it is known at the start."""
        await self._lanes[0].open()
        self._free.append(self._lanes[0])

    @property
    def services(self) -> tuple[str, ...]:
        """As the connector's own."""
        return self._first.services

    def capabilities(self) -> dict[str, Any]:
        """What the connector tells of itself."""
        return self._first.capabilities()

    async def close(self) -> None:
        """Close every connector, and end the threads."""
        lanes, self._lanes, self._free = self._lanes, [], []
        await asyncio.gather(*(lane.close() for lane in lanes))

    async def run(self, job: JobContext) -> Any:
        """Run the job in a free thread, or in a new one."""
        lane = self._free.pop() if self._free else await self._open_lane()
        running = asyncio.ensure_future(lane.run(job))
        running.add_done_callback(lambda _: self._free.append(lane))
        try:
            error, result = await asyncio.shield(running)
        except asyncio.CancelledError:
            lane.cancel()
            await asyncio.wait([running])
            raise
        if error is not None:
            raise error
        return result

    async def _open_lane(self) -> Lane:
        lane = Lane(self._build())
        self._lanes.append(lane)
        try:
            await lane.open()
        except Exception as error:
            self._lanes.remove(lane)
            await lane.close()
            raise JobFailed(f"the connector could not be opened in another thread: {error}") from error
        return lane


class Lane:
    """One thread with its event loop and its instance of the connector. It runs one job at a time."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._job: asyncio.Task[Outcome] | None = None
        self._thread = threading.Thread(target=self._run_loop, name="connector", daemon=True)

    async def open(self) -> None:
        """Start the thread and open the connector there."""
        self._thread.start()
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._connector.open(), self._loop))

    async def close(self) -> None:
        """Close the connector there and end the thread."""
        if not self._thread.is_alive():
            return
        closing = asyncio.run_coroutine_threadsafe(self._connector.close(), self._loop)
        try:
            await asyncio.wait_for(asyncio.wrap_future(closing), CLOSE_S)
        except TimeoutError:
            return
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)

    async def run(self, job: JobContext) -> Outcome:
        """Run a job there."""
        main = asyncio.get_running_loop()
        ended: asyncio.Future[Outcome] = main.create_future()
        there = JobContext(job.lease, ThreadsafeProgress(job.sink, main))

        def settle(task: asyncio.Task[Outcome]) -> None:
            ended.set_result((asyncio.CancelledError(), None) if task.cancelled() else task.result())

        def start() -> None:
            self._job = self._loop.create_task(self._guarded(there))
            self._job.add_done_callback(lambda task: main.call_soon_threadsafe(settle, task))

        self._loop.call_soon_threadsafe(start)
        return await ended

    def cancel(self) -> None:
        """Cancel the job, from the worker's thread."""
        self._loop.call_soon_threadsafe(lambda: self._job is not None and self._job.cancel())

    async def _guarded(self, job: JobContext) -> Outcome:
        """Not even SystemExit may end the thread's loop: it is the job's failure."""
        try:
            return None, await self._connector.run(job)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            return error, None

    def _run_loop(self) -> None:
        with self._runner:  # it ends, too, what the connector leaves running
            self._loop.run_forever()


class ThreadsafeProgress:
    """Passes progress from a connector's thread to the worker's."""

    def __init__(self, sink: ProgressSink, main: asyncio.AbstractEventLoop) -> None:
        self._sink = sink
        self._main = main

    async def send(self, update: ProgressUpdate) -> None:
        """Send this update, after all earlier ones."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._sink.send(update), self._main))

    def report(self, update: ProgressUpdate) -> None:
        """Send this update soon; a newer progress may take the place of one."""
        with suppress(RuntimeError):  # the worker is gone
            self._main.call_soon_threadsafe(self._sink.report, update)
