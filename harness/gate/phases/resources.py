"""What the stack takes: what each process holds after clients came and went in rounds, what it costs when idle, and how
many lines of code its rooms have.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from harness.clients import LegacyClient, ModernClient, Monitor
from harness.criteria.definition import NotMeasured
from harness.criteria.evidence import CodeSize, ResourceUse
from harness.criteria.simplicity import CRITERION, LISTING, count, listing
from harness.errors import CouldNotRun
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.machine_time import Deadline, MachineLog
from harness.processes import Process, Processes
from harness.results import LogFile
from harness.targets import Deployment, Namespace, Setup

DATABASE: Final = 59
WORKERS: Final = 4
FIRST_ROUNDS: Final = 3
"""In these, pools and caches fill."""
CLIENTS: Final = 12
"""Of each kind, in each round."""
GONE_S: Final = 15.0
IDLE_S: Final = 5.0
JOB: Final = {"simulate": [{"progress": 50}, {"result": "x" * 2_000}]}


async def gather(context: RunContext) -> PhaseResult:
    """The rounds, then nothing to do. The processes are started each by itself: what they take is measured."""
    if context.options.candidate:
        raise NotMeasured("What the processes hold that somebody else runs cannot be read.")
    async with Processes(context.folder / "logs", machine=context.processes.machine) as processes:
        use = await _use(context, processes)
        await asyncio.to_thread(processes.check)
    return PhaseResult(evidence=[use])


async def _use(context: RunContext, started: Processes) -> ResourceUse:
    redis = await context.redis()
    setup = Setup(name="resources-api", overlay=context.overlay)
    stack = await Deployment.astart(started, setup, redis, Namespace.fresh(redis, DATABASE))
    try:
        launches = [stack.worker_launch(f"resources-worker-{number}") for number in range(1, WORKERS + 1)]
        workers = await stack.astart_workers(launches)
        processes = [*stack.servers, *workers]
        jobs = 0
        for number in range(FIRST_ROUNDS + context.profile.resource_rounds):
            if number == FIRST_ROUNDS:
                before = await _held(processes, context.processes.machine)
            context.report(f"round {number + 1}: {CLIENTS} clients of each kind come and go")
            jobs += await _round(stack)
        after = await _held(processes, context.processes.machine)
        idle_s, api, worker = await _idle(stack.servers[0], workers)
    finally:
        await asyncio.to_thread(stack.stop)
    return ResourceUse(
        rounds=context.profile.resource_rounds,
        jobs=jobs,
        more_descriptors={name: after[name][0] - before[name][0] for name in after},
        more_bytes={name: after[name][1] - before[name][1] for name in after},
        idle_s=idle_s,
        idle_worker_percent=worker,
        idle_api_percent=api,
    )


async def _round(stack: Deployment) -> int:
    """Old and new clients and a monitor; each leaves once its job has ended. Answers how many jobs there were."""
    target = stack.target

    async def old(number: int) -> None:
        async with LegacyClient(target.ws_url, f"old-{number}") as client:
            await client.ended(await client.submit(JOB))

    async def modern() -> None:
        async with ModernClient(target.http_url) as client:
            await client.follow_to_end(await client.submit(JOB))

    async with asyncio.timeout(60), Monitor(target.ws_url, "round"), asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(old(number))
            group.create_task(modern())
    return 2 * CLIENTS


async def _held(processes: Sequence[Process], log: MachineLog) -> Mapping[str, tuple[int, int]]:
    """Descriptors and bytes of each process, once the connections that were closed are gone.

    Of memory only what no other process shares: others come and go meanwhile.
    """
    held: dict[str, tuple[int, int]] = {}
    limit = Deadline(GONE_S, log)
    for process in processes:
        least = _descriptors(process)
        settled = 0
        while settled < 5 and not limit.is_over:
            await asyncio.sleep(0.1)
            now = _descriptors(process)
            settled = settled + 1 if now >= least else 0
            least = min(least, now)
        memory = process.memory()
        held[process.name] = (least, memory.own if memory else 0)
    return held


def _descriptors(process: Process) -> int:
    count: int = psutil.Process(process.pid).num_fds()
    return count


async def _idle(api: Process, workers: Sequence[Process]) -> tuple[float, float, float]:
    """Seconds without anything to do, and the percentage of one processor that the API and one worker took in them."""
    loop = asyncio.get_running_loop()
    began, before = loop.time(), [_spent(process) for process in (api, *workers)]
    await asyncio.sleep(IDLE_S)
    seconds = loop.time() - began
    of_api, *of_workers = (
        100 * (_spent(process) - spent) / seconds for process, spent in zip((api, *workers), before, strict=True)
    )
    return seconds, of_api, sum(of_workers) / len(of_workers)


def _spent(process: Process) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


RESOURCES: Final = Phase(
    name="resources",
    about="clients come and go: does anything grow, and what does it cost to be idle",
    gathers=(ResourceUse,),
    gather=gather,
)


async def gather_code_size(context: RunContext) -> PhaseResult:
    """Count, and keep the count of every file beside the report."""
    if context.options.candidate:
        raise NotMeasured("The code of a stack that somebody else runs is not here to be counted.")
    limits = context.limits.limits(CRITERION)
    lines = count(context.overlay or _root(), limits.rooms)
    context.path(LISTING).write_text(listing(lines, limits))
    return PhaseResult(evidence=[CodeSize(lines=lines)], logs=[LogFile(path=LISTING, about="lines of code by file")])


def _root() -> Path:
    found = importlib.util.find_spec("new_stack")
    if found is None or found.origin is None:
        raise CouldNotRun("the package new_stack is not installed here, so its code cannot be counted")
    return Path(found.origin).parent.parent


CODE_SIZE: Final = Phase(
    name="simplicity", about="count the lines of code", gathers=(CodeSize,), gather=gather_code_size
)
