"""`python -m new_stack.worker`: run one worker until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from new_stack.queue import Queue
from new_stack.queue.errors import QueueError, QueueUnavailable
from new_stack.queue.settings import QueueSettings
from new_stack.settings import SettingsError
from new_stack.worker.connector_registry import ConnectorRegistry, ConnectorUnusable
from new_stack.worker.connectors.catalogue import BUILT_IN, parse_list
from new_stack.worker.identity import make_sure_of_name
from new_stack.worker.log import EventLog
from new_stack.worker.outage import Outage
from new_stack.worker.settings import WorkerSettings
from new_stack.worker.worker import Worker

USAGE: Final = 2
COULD_NOT_RUN: Final = 3


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run a worker; answers the process's exit status: 0 stopped in order, 1 with jobs left behind, 2 or 3 not run."""
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else arguments, environment or os.environ)
        connectors = ConnectorRegistry.build(settings.connectors)
        return run(settings, connectors)
    except SettingsError as error:
        return _refuse(error, USAGE)
    except (QueueError, ConnectorUnusable) as error:
        return _refuse(error, COULD_NOT_RUN)


def _refuse(error: Exception, status: int) -> int:
    sys.stderr.write(f"hubgate worker: {error}\n")
    return status


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> WorkerSettings:
    """Options over environment over defaults. Raises SettingsError."""
    given = _parser().parse_args(arguments)
    queue = QueueSettings.from_environment(
        {
            **environment,
            **({"REDIS_URL": given.redis} if given.redis is not None else {}),
            **({"HUBGATE_PREFIX": given.prefix} if given.prefix is not None else {}),
        }
    )
    options: dict[str, Any] = {
        "queue": queue,
        "worker_id": given.id,
        "connectors": parse_list(",".join(given.connector)) if given.connector else None,
        "max_concurrent_jobs": given.concurrency,
        "poll_interval_ms": given.poll_ms,
        "job_timeout_minutes": given.timeout_minutes,
        "shutdown_grace_ms": given.grace_ms,
    }
    return WorkerSettings.from_environment(environment, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hubgate worker",
        description="Run jobs from the queue until told to stop. Every setting can also come from the environment: "
        "REDIS_URL, WORKER_* and HUBGATE_*; docs/running.md has the tables.",
    )
    parser.add_argument("--redis", metavar="URL", help="where Redis is (REDIS_URL)")
    parser.add_argument("--prefix", help="put before every key in Redis (HUBGATE_PREFIX)")
    parser.add_argument("--id", help="this worker's own name (WORKER_ID)")
    parser.add_argument(
        "--connector",
        action="append",
        metavar="NAME[:SETTINGS]",
        help=f"what to run jobs with, may be given several times (WORKER_CONNECTORS): {', '.join(BUILT_IN)}, "
        "or one of an installed package",
    )
    parser.add_argument("--concurrency", type=int, metavar="N", help="jobs at once (WORKER_MAX_CONCURRENT_JOBS)")
    parser.add_argument("--poll-ms", type=int, metavar="MS", help="(WORKER_POLL_INTERVAL_MS)")
    parser.add_argument("--timeout-minutes", type=float, metavar="MIN", help="for one job (WORKER_JOB_TIMEOUT_MINUTES)")
    parser.add_argument("--grace-ms", type=int, metavar="MS", help="after SIGTERM (WORKER_SHUTDOWN_GRACE_MS)")
    return parser


def run(settings: WorkerSettings, connectors: ConnectorRegistry) -> int:
    """Run a worker on a loop of its own."""
    log = EventLog(worker_id=settings.worker_id)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_work(settings, connectors, log))
    except ExceptionGroup as group:
        refusals, others = group.split(QueueError)
        if refusals is None or others is not None:
            raise
        raise QueueError(str(refusals.exceptions[0])) from group


async def _work(settings: WorkerSettings, connectors: ConnectorRegistry, log: EventLog) -> int:
    worker: Worker | None = None
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        if worker is not None:
            worker.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    queue = await _connect(settings, log, stopped)
    if queue is None:
        return 0
    try:
        ttl_ms = settings.queue.heartbeat_ttl_ms
        await make_sure_of_name(queue, settings.worker_id, heartbeat_ttl_ms=ttl_ms)
        worker = Worker(settings, queue, connectors, log)
        if stopped.is_set():
            return 0
        return 1 if await worker.run() else 0
    finally:
        await queue.close()


async def _connect(settings: WorkerSettings, log: EventLog, stopped: asyncio.Event) -> Queue | None:
    """Open the queue, waiting a while for Redis; None where the worker was told to stop meanwhile."""
    outage = Outage(log)
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + settings.connect_timeout_ms / 1000
    while not stopped.is_set():
        try:
            queue = await Queue.connect(settings.queue)
        except QueueUnavailable as error:
            if loop.time() >= give_up_at:
                raise
            outage.noticed(error)
            await outage.pause()
        else:
            outage.over()
            return queue
    return None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
