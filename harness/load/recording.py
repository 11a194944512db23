"""The system's own account of a load, written beside what the clients saw, and the checkers' word on both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import msgspec

from harness.clients import Refused
from harness.clients.recorders import HubRecorder, StackRecorder, WorkerWatch, survey
from harness.clients.transport import Background
from harness.errors import CouldNotRun
from harness.history import (
    CheckResult,
    History,
    HistoryEvent,
    HistoryWriter,
    Limits,
    Source,
    check_all,
    journal_event,
    read_events,
    without_the_starved,
)
from harness.load.results import WorkerExit
from harness.machine_time import FREE, MachineTime
from harness.protocols import EventKind
from harness.targets import Side, Target
from harness.workers.journal import entries_in

SYSTEM: Final = "history-system.jsonl"
JOURNAL: Final = "journal"
"""The folder of the workers' journals."""


@asynccontextmanager
async def recording(target: Target, out: Path) -> AsyncIterator[HistoryWriter]:
    """While the load runs: the stack's stream of events and its workers' words, or what the hub tells a monitor."""
    with HistoryWriter(out / SYSTEM, about=f"the {target.side}'s own account of a load") as writer:
        async with AsyncExitStack() as recorders:
            try:
                for recorder in _recorders(target, writer):
                    await recorders.enter_async_context(recorder)
            except TimeoutError as error:
                raise CouldNotRun(f"{target.http_url} does not say what it does: {error}") from error
            yield writer


def _recorders(target: Target, writer: HistoryWriter) -> list[Background]:
    if target.side is Side.HUB:
        return [HubRecorder(target.ws_url, writer)]
    url, token = target.http_url, target.token
    return [StackRecorder(url, writer, token=token), WorkerWatch(url, writer, token=token)]


async def until_submitted(writer: HistoryWriter, jobs: int) -> None:
    """Wait until the system has told of so many jobs: a fault before that would meet nothing.

    A stack tells of each that it takes, a hub's monitor hears of those that workers were given.
    """
    seen: set[str] = set()
    enough = asyncio.Event()

    def count(event: HistoryEvent) -> None:
        seen.update([event.job_id] if event.job_id else [])
        if len(seen) >= jobs:
            enough.set()

    stop = writer.listen(count)
    for event in writer.events:
        count(event)
    try:
        await enough.wait()
    finally:
        stop()


async def settle(target: Target, writer: HistoryWriter, out: Path, exits: list[WorkerExit]) -> None:
    """After the load: note the workers that exited on their own, and ask the server for every job that it owes.

    A server that does not answer leaves the checkers in doubt, which they say.
    """
    for one in exits:
        times = {EventKind.KILLED if one.asked else EventKind.CRASHED: one.at}
        times |= {} if one.back_after_s is None else {EventKind.UP: one.at + one.back_after_s}
        for kind, at in times.items():
            event = HistoryEvent(
                at_ms=at * 1000, source=Source.HARNESS, kind=kind, target=one.worker, worker_id=one.worker
            )
            writer.add(event)
    writer.note(EventKind.SETTLED)
    clients = await asyncio.to_thread(history_in, out, without=SYSTEM)
    history = History([*clients.events, *writer.events])
    with contextlib.suppress(httpx.HTTPError, Refused):
        await survey(target.http_url, [job.id for job in history.acknowledged], writer, token=target.token)


def history_in(out: Path, *, without: str = "", shared: bool = False) -> History:
    """The history in a load's folder: what clients saw, the system's own account, and what workers wrote down.

    A target that others use, too, also tells of their jobs: `shared` leaves out what no client of the load submitted.
    """
    files = (path for path in sorted(out.glob("history-*.jsonl")) if path.name != without)
    events = [event for path in files for event in read_events(path)]
    if shared:
        events = list(_of_own_jobs(events))
    return History([*events, *map(journal_event, entries_in(out / JOURNAL))])


def _of_own_jobs(events: Sequence[HistoryEvent]) -> Iterator[HistoryEvent]:
    asked = {EventKind.SUBMIT, EventKind.ACCEPTED}
    own = {event.job_id for event in events if event.source is Source.CLIENT and event.kind in asked}
    for event in events:
        if event.running is not None:
            yield msgspec.structs.replace(event, running=tuple(job for job in event.running if job in own))
        elif event.job_id is None or event.job_id in own:
            yield event


def check(out: Path, limits: Limits, lost: MachineTime = FREE, *, shared: bool = False) -> dict[str, CheckResult]:
    """What each checker says of the history in a load's folder, by the checker's name.

    What rests on time that others had of the machine is not decided.
    """
    results = check_all(history_in(out, shared=shared), limits)
    return {result.name: without_the_starved(result, lost) for result in results}
