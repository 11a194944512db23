"""Work that goes on while a connector blocks the worker's event loop, and the log line that names the connector."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from new_stack.log import EventLog
from new_stack.worker.running_jobs import RunningJobs

BLOCKED_S: Final = 2.0
"""How long the event loop may be blocked before the connector that does so is named in the log."""
CHECK_S: Final = 0.5
"""How often the thread looks whether the loop answers while jobs run."""
FRAMES: Final = 4
"""How many of the innermost calls of a blocked loop are logged."""
STOP_S: Final = 2.0


Beside = Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, None]]
"""Work beside the worker's event loop, which it is given."""


async def beside_the_loop(name: str, work: Beside, running: RunningJobs, log: EventLog) -> None:
    """Do some work and watch the worker's event loop, from a thread, until cancelled. Raises what ends it."""
    main, thread_id = asyncio.get_running_loop(), threading.get_ident()

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(work(main))
            group.create_task(watch(main, thread_id, running, log))

    await in_thread(name, both)


async def in_thread(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run some work on an event loop of its own, in a thread of its own, until cancelled. Raises what ends it."""
    main = asyncio.get_running_loop()
    ended: asyncio.Future[None] = main.create_future()
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)  # it ends, too, what the work leaves running
    loop = runner.get_loop()
    task = loop.create_task(work())

    def settle(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(None) if error is None else ended.set_exception(error)

    def thread() -> None:
        error: BaseException | None = None
        try:
            with runner:
                loop.run_until_complete(task)
        except asyncio.CancelledError:
            error = None
        except BaseException as failure:  # noqa: BLE001 - it ends the worker, which waits for it
            error = failure
        with suppress(RuntimeError):  # the worker has not waited and is gone
            main.call_soon_threadsafe(settle, error)

    threading.Thread(target=thread, name=name, daemon=True).start()
    try:
        await asyncio.shield(ended)
    finally:
        if not ended.done():
            loop.call_soon_threadsafe(task.cancel)
            await asyncio.wait([ended], timeout=STOP_S)


async def watch(main: asyncio.AbstractEventLoop, thread_id: int, running: RunningJobs, log: EventLog) -> None:
    """Log once for each time that the worker's event loop does not answer, with what it is doing."""
    clock = asyncio.get_running_loop().time
    here = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(CHECK_S)
        if not running.leases:
            continue
        answered = asyncio.Event()
        asked_at = clock()
        main.call_soon_threadsafe(here.call_soon_threadsafe, answered.set)
        try:
            async with asyncio.timeout(BLOCKED_S):
                await answered.wait()
        except TimeoutError:
            _log_blocked(main, thread_id, running, log)
            await answered.wait()
            log.warning("loop_unblocked", blocked_s=round(clock() - asked_at, 1))


def _log_blocked(main: asyncio.AbstractEventLoop, thread_id: int, running: RunningJobs, log: EventLog) -> None:
    task = asyncio.current_task(main)
    names = {attempt.task: attempt.connector.name for attempt in running.attempts}
    connector = (task and names.get(task)) or " or ".join(sorted(set(names.values())))
    frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - documented, and the only way to another thread
    log.error(
        "loop_blocked",
        message=f"connector {connector} blocks the loop; with run_in=thread it would block only itself",
        connector=connector,
        stack=[f"{call.filename}:{call.lineno} {call.name}" for call in traceback.extract_stack(frame)[-FRAMES:]],
    )
