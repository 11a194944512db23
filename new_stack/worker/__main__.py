"""`python -m new_stack.worker`: run one worker until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from new_stack.log import EventLog
from new_stack.process import run_process
from new_stack.queue import Queue
from new_stack.queue.function_caller import FunctionCaller
from new_stack.queue.settings import QueueSettings
from new_stack.settings import read_options
from new_stack.worker.connector_registry import ConnectorRegistry, ConnectorUnusable
from new_stack.worker.connector_spec import BUILT_IN, parse_list
from new_stack.worker.settings import WorkerSettings
from new_stack.worker.worker import Worker

OPTIONS: Final = (
    ("--redis", "redis_url", "URL", "where Redis is (REDIS_URL)"),
    ("--prefix", "prefix", "PREFIX", "put before every key in Redis (HUBGATE_PREFIX)"),
    ("--id", "worker_id", "NAME", "this worker's own name (WORKER_ID)"),
    (
        "--connector",
        "connectors",
        "NAME[:SETTINGS]",
        (
            "what to run jobs with, may be given several times (WORKER_CONNECTORS): "
            f"{', '.join(BUILT_IN)}, one of an installed package, or module:Class"
        ),
    ),
    ("--tasks", "tasks", "MODULE", "run the functions of a module that @task decorates"),
    ("--concurrency", "max_concurrent_jobs", "N", "jobs at once (WORKER_MAX_CONCURRENT_JOBS)"),
    ("--poll-ms", "poll_interval_ms", "MS", "(WORKER_POLL_INTERVAL_MS)"),
    ("--timeout-minutes", "job_timeout_minutes", "MIN", "for one job (WORKER_JOB_TIMEOUT_MINUTES)"),
    ("--grace-ms", "shutdown_grace_ms", "MS", "after SIGTERM (WORKER_SHUTDOWN_GRACE_MS)"),
)
"""Each option with the setting that it sets."""


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> WorkerSettings:
    """Options over environment over defaults. Raises SettingsError."""
    about = (
        "Run jobs from the queue until told to stop. Every setting can also come from the environment: "
        "REDIS_URL, WORKER_* and HUBGATE_*; docs/settings.md has the tables."
    )
    kinds = (WorkerSettings, QueueSettings)
    options = read_options(arguments, OPTIONS, kinds, prog="hubgate worker", description=about)
    texts = list(options["connectors"] or ())
    if options["tasks"]:
        texts.append(f"tasks:module={'+'.join(options['tasks'])}")
    return WorkerSettings.from_environment(
        environment, options | {"connectors": parse_list(",".join(texts)) if texts else None}
    )


async def start(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a worker until told to stop; the exit status: 0 stopped in order, 1 with jobs left behind.

    Raises SettingsError.
    """
    settings = read_settings(arguments, environment)
    connectors = ConnectorRegistry.build(settings.connectors)
    queue = Queue(FunctionCaller(settings.queue, install=True))
    worker = Worker(settings, queue, connectors, EventLog(worker_id=settings.worker_id))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    try:
        return 1 if await worker.run() else 0
    finally:
        await queue.close()


if __name__ == "__main__":
    sys.exit(run_process(start, ConnectorUnusable, says="hubgate worker: "))
