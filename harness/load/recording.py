"""The system's own account of a load, written beside what the clients saw, and the checkers' word on both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import msgspec

from harness.clients import Refused
from harness.clients.recorders import Background, HubRecorder, StackRecorder, WorkerWatch, survey
from harness.history import CheckResult, History, HistoryEvent, HistoryWriter, Limits, Source, check_all
from harness.load.deployment import Site, SiteError
from harness.load.fleet import Death
from harness.load.spec import Side
from harness.protocols import EventKind

SYSTEM: Final = "history-system.jsonl"
NAMED: Final = 20


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One checker's answer, in short; the whole history is in the run's folder."""

    name: str
    examined: int
    violations: int
    forms: dict[str, int]
    jobs: list[str]
    sentences: list[str]
    doubts: list[str]

    @classmethod
    def of(cls, result: CheckResult) -> Check:
        """The first few of what it found."""
        return cls(
            name=result.name,
            examined=result.examined,
            violations=len(result.violations),
            forms=result.forms,
            jobs=list(result.jobs[:NAMED]),
            sentences=[violation.sentence for violation in result.violations[:NAMED]],
            doubts=list(result.doubts),
        )


@asynccontextmanager
async def recording(site: Site, out: Path) -> AsyncIterator[HistoryWriter]:
    """While the load runs: the stack's stream of events and its workers' words, or what the hub tells a monitor."""
    with HistoryWriter(out / SYSTEM, about=f"the {site.spec.side}'s own account of a load") as writer:
        async with AsyncExitStack() as recorders:
            try:
                for recorder in _recorders(site, writer):
                    await recorders.enter_async_context(recorder)
            except TimeoutError as error:
                raise SiteError(f"{site.url} does not say what it does: {error}") from error
            yield writer


def _recorders(site: Site, writer: HistoryWriter) -> list[Background]:
    if site.spec.side is Side.HUB:
        return [HubRecorder("ws" + site.url.removeprefix("http"), writer)]
    token = site.spec.token
    return [StackRecorder(site.url, writer, token=token), WorkerWatch(site.url, writer, token=token)]


async def settle(site: Site, writer: HistoryWriter, out: Path) -> None:
    """After the load: note the deaths of workers, and ask the server for the state of every job it owes.

    A server that does not answer leaves the checkers in doubt, which they say.
    """
    for death in site.fleet.deaths if site.fleet else []:
        _note_death(writer, death)
    writer.note(EventKind.SETTLED)
    history = await asyncio.to_thread(_load, out, writer)
    with contextlib.suppress(httpx.HTTPError, Refused):
        await survey(site.url, [job.id for job in history.acknowledged], writer, token=site.spec.token)


def check(out: Path, limits: Limits) -> list[Check]:
    """What all checkers say of the history in a run's folder."""
    return [Check.of(result) for result in check_all(History.load(*sorted(out.glob("history-*.jsonl"))), limits)]


def _load(out: Path, writer: HistoryWriter) -> History:
    clients = [path for path in sorted(out.glob("history-*.jsonl")) if path.name != SYSTEM]
    return History([*History.load(*clients).events, *writer.events])


def _note_death(writer: HistoryWriter, death: Death) -> None:
    times = {EventKind.KILLED: death.at} | (
        {} if death.back_after_s is None else {EventKind.UP: death.at + death.back_after_s}
    )
    for kind, at in times.items():
        writer.add(
            HistoryEvent(at_ms=at * 1000, source=Source.HARNESS, kind=kind, target=death.worker, worker_id=death.worker)
        )
