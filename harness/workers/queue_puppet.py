"""A puppet in a process of its own that makes every move which the queue's public interface has, one line at a time.

    {"move": "claim", "says": {"worker": "w1", "count": 2}}       on its standard input
    {"answer": […]}   or   {"error": "LeaseLost: …"}              on its standard output

It is the harness's code beside the stack's own: with a copy of the stack first on its path it plays that one. A lease
is named by its job and attempt, as `a/1`; `worker`, where it is given, holds it out as another's.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import asdict, replace

from new_stack.matching import CapabilitiesError, RequirementsError, offered
from new_stack.queue import (
    ALL_SERVICES,
    Claimant,
    Completed,
    End,
    EventKind,
    Failed,
    JobState,
    Lease,
    NewJob,
    ProgressUpdate,
    Queue,
    QueueError,
    QueueSettings,
    Released,
    RetryPolicy,
    SettingsError,
    WorkerReport,
)
from new_stack.queue.dead_letters import Action, FailureFilter, failures, in_bulk
from new_stack.queue.explanation import waiting_reason
from new_stack.queue.timeseries import RANGES
from new_stack.queue.usage import ClientCount

REFUSALS: Final = (QueueError, SettingsError, ValueError, KeyError, RequirementsError, CapabilitiesError)
"""What a move may raise: a caller of the queue hears it."""


class Holding(msgspec.Struct, kw_only=True):
    """A lease that was given out, as somebody shows it."""

    lease: str
    worker: str | None = None


class Submitting(msgspec.Struct, kw_only=True):
    """A job as its submitter writes it, mistakes included."""

    id: Any = None
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    service_required: Any = "unknown"
    priority: Any = 0
    client_id: Any = None
    extra: msgspec.Raw = msgspec.Raw()
    not_before: Any = None
    max_retries: Any = None
    retry_policy: RetryPolicy | None = None

    @property
    def job(self) -> NewJob:
        """As the queue takes it."""
        given = asdict(self) | {"extra": self.extra if bytes(self.extra) else None}
        return NewJob(**given)


class Ending(Holding, kw_only=True):
    """How a job ends."""

    kind: str = "complete"
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    retryable: bool = True
    error_type: str = ""
    traceback: str = ""


class Asking(msgspec.Struct, kw_only=True):
    """Who asks for work, and how much."""

    worker: str
    services: tuple[str, ...] = ALL_SERVICES
    offers: dict[str, Any] | None = None
    count: int = 1
    running: int = 0
    idle_ms: int = 0
    timeout_ms: int = 50
    ends: list[Ending] = []
    cut_ms: int | None = None
    """When the call is broken off."""
    timed: bool = False
    """Whether the answer says that it took as long as it might."""

    @property
    def claimant(self) -> Claimant:
        """As the queue knows it."""
        offers = "" if self.offers is None else offered(self.offers)
        return Claimant(worker_id=self.worker, services=self.services, offers=offers)


class Telling(Holding, kw_only=True):
    """What a running job says."""

    kind: EventKind = EventKind.PROGRESS
    progress: float = 0
    status: str = "processing"
    message: str | None = None
    details: dict[str, Any] | None = None
    number: int = 0


class Named(msgspec.Struct, kw_only=True):
    """One job, worker or service."""

    id: str
    reason: str | None = None
    bodies: bool = True
    after: str = "0"
    count: int = 1_000_000
    timeout_ms: int = 50


class Listing(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A page of jobs."""

    state: JobState | None = None
    service: str | None = None
    worker_id: str | None = None
    client_id: str | None = None
    text: str | None = None
    cursor: str | None = None
    limit: int = 50
    bodies: bool = True


class Bulk(msgspec.Struct, kw_only=True):
    """A change of many jobs."""

    action: Action
    filter: FailureFilter = FailureFilter()
    dry_run: bool = False
    limit: int = 1000
    reason: str = ""


class Series(msgspec.Struct, kw_only=True):
    """A range of time."""

    range: str = "1h"
    by_service: bool = False
    service: str = ""
    until_ms: int | None = None


class Page(msgspec.Struct, kw_only=True):
    """A part of a listing that goes on."""

    after: str = "0"
    count: int = 200
    client: str = ""


class Nothing(msgspec.Struct):
    """Of a move that says nothing."""


class Puppet:
    """One connection to a queue, and the leases that were given out over it."""

    def __init__(self, queue: Queue) -> None:
        self.queue: Final = queue
        self._leases: dict[str, Lease] = {}

    def lease(self, shown: Holding) -> Lease:
        """The lease that is shown. Raises KeyError where none was given out."""
        lease = self._leases[shown.lease]
        return lease if shown.worker is None else replace(lease, worker_id=shown.worker)

    def keep(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        """Keep what was given out, by its name."""
        self._leases |= {f"{lease.job_id}/{lease.attempt}": lease for lease in leases}
        return leases

    def end(self, ending: Ending) -> End:
        """An end as the queue takes it."""
        lease = self.lease(ending)
        match ending.kind:
            case "complete":
                return Completed(lease=lease, result=ending.result)
            case "release":
                return Released(lease=lease)
            case _:
                return Failed(
                    lease=lease,
                    error=ending.error,
                    retryable=ending.retryable,
                    error_type=ending.error_type,
                    traceback=ending.traceback,
                )


async def claim(puppet: Puppet, said: Asking) -> Any:
    """End what is to end, and claim."""
    ends = [puppet.end(one) for one in said.ends]
    states, leases = await puppet.queue.end_and_claim(
        said.claimant, ends, said.count, running=said.running, idle_ms=said.idle_ms
    )
    found = puppet.keep(leases)
    return [[_in_words(state) for state in states], found] if ends else found


async def wait(puppet: Puppet, said: Asking) -> Any:
    """Wait for a wake-up, and claim; where it is broken off, nothing is claimed."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(None if said.cut_ms is None else said.cut_ms / 1000):
            leases, signal = await puppet.queue.wait_and_claim(
                said.claimant, said.count, timeout_ms=said.timeout_ms, running=said.running
            )
    except TimeoutError:
        return "broken off"
    found = [puppet.keep(leases), signal]
    return [*found, (time.monotonic() - began) * 1000 >= said.timeout_ms - 5] if said.timed else found


async def submit(puppet: Puppet, said: list[Submitting]) -> Any:
    """Submit jobs in one request."""
    return [_in_words(answer) for answer in await puppet.queue.submit_many([one.job for one in said])]


async def progress(puppet: Puppet, said: Telling) -> Any:
    """Say something of a running job."""
    told = {name: value for name, value in asdict(said).items() if name not in Holding.__struct_fields__}
    await puppet.queue.progress(puppet.lease(said), ProgressUpdate(**told))


async def renew(puppet: Puppet, said: list[Holding]) -> Any:
    """Keep leases."""
    return await puppet.queue.renew([puppet.lease(one) for one in said])


async def job(puppet: Puppet, said: Named) -> Any:
    """A job as it stands, and why it waits."""
    found = await puppet.queue.job(said.id, bodies=said.bodies)
    return found and [found, waiting_reason(found)]


async def cancel(puppet: Puppet, said: Named) -> Any:
    """Cancel a job."""
    return await (puppet.queue.cancel(said.id, said.reason) if said.reason else puppet.queue.cancel(said.id))


async def in_flight(puppet: Puppet, said: Page) -> Any:
    """All jobs that have not ended, by page."""
    return [page async for page in puppet.queue.usage.in_flight(page=said.count)]


async def events(puppet: Puppet, said: Page) -> Any:
    """Events of all jobs."""
    return await puppet.queue.events(said.after, block_ms=20, count=said.count)


async def usage(puppet: Puppet, said: Page) -> Any:
    """What clients have used."""
    return await puppet.queue.usage.page(said.after, count=said.count, client=said.client)


async def bulk(puppet: Puppet, said: Bulk) -> Any:
    """Change many jobs."""
    options: dict[str, Any] = {"dry_run": said.dry_run, "limit": said.limit, "cancel_reason": said.reason}
    return await in_bulk(puppet.queue, said.action, said.filter, **options)


async def timeseries(puppet: Puppet, said: Series) -> Any:
    """What happened over time."""
    options: dict[str, Any] = {"until_ms": said.until_ms, "by_service": said.by_service, "service": said.service}
    return await puppet.queue.timeseries(RANGES[said.range], **options)


def _in_words(answer: Any) -> Any:
    return f"{type(answer).__name__}: {answer}" if isinstance(answer, Exception) else answer


Move = tuple[Any, Callable[[Puppet, Any], Awaitable[Any]]]
MOVES: Final[dict[str, Move]] = {
    "submit": (list[Submitting], submit),
    "submit_one": (Submitting, lambda puppet, said: puppet.queue.submit(said.job)),
    "claim": (Asking, claim),
    "wait": (Asking, wait),
    "end": (Ending, lambda puppet, said: puppet.queue.end(puppet.end(said))),
    "renew": (list[Holding], renew),
    "progress": (Telling, progress),
    "heartbeat": (WorkerReport, lambda puppet, said: puppet.queue.heartbeat(said)),
    "reap": (Nothing, lambda puppet, _: puppet.queue.reap()),
    "unregister": (Named, lambda puppet, said: puppet.queue.unregister(said.id)),
    "signal": (Named, lambda puppet, said: puppet.queue.wait_for_signal(said.id, timeout_ms=said.timeout_ms)),
    "cancel": (Named, cancel),
    "retry": (Named, lambda puppet, said: puppet.queue.retry(said.id)),
    "drop": (Named, lambda puppet, said: puppet.queue.drop(said.id)),
    "show": (Named, lambda puppet, said: puppet.queue.show(said.id)),
    "job": (Named, job),
    "jobs": (Listing, lambda puppet, said: puppet.queue.jobs(**asdict(said))),
    "history": (Named, lambda puppet, said: puppet.queue.history(said.id, said.after, count=said.count)),
    "events": (Page, events),
    "last_event": (Nothing, lambda puppet, _: puppet.queue.last_event_id()),
    "first_event": (Nothing, lambda puppet, _: puppet.queue.first_event_id()),
    "rest": (Named, lambda _, said: asyncio.sleep(said.timeout_ms / 1000)),
    "counts": (Nothing, lambda puppet, _: puppet.queue.counts()),
    "workers": (Nothing, lambda puppet, _: puppet.queue.workers()),
    "explain": (Named, lambda puppet, said: puppet.queue.explain(said.id)),
    "load": (Nothing, lambda puppet, _: puppet.queue.load()),
    "pause": (Named, lambda puppet, said: puppet.queue.pause_service(said.id)),
    "resume": (Named, lambda puppet, said: puppet.queue.resume_service(said.id)),
    "drain": (Named, lambda puppet, said: puppet.queue.drain_worker(said.id)),
    "undrain": (Named, lambda puppet, said: puppet.queue.resume_worker(said.id)),
    "writable": (Nothing, lambda puppet, _: puppet.queue.check_writable()),
    "timeseries": (Series, timeseries),
    "failures": (FailureFilter, lambda puppet, said: failures(puppet.queue, said)),
    "bulk": (Bulk, bulk),
    "use": (list[ClientCount], lambda puppet, said: puppet.queue.usage.add(said)),
    "usage": (Page, usage),
    "in_flight": (Page, in_flight),
}


class Line(msgspec.Struct):
    """One move."""

    move: str
    says: msgspec.Raw


async def play(puppet: Puppet | None, line: bytes) -> tuple[Puppet | None, Any]:
    """Make one move; the puppet, which `open` makes anew, and the answer."""
    said = msgspec.json.decode(line, type=Line)
    try:
        if said.move == "open":
            options = msgspec.json.decode(said.says, type=dict[str, Any])
            install = options.pop("install", True)
            opened = Puppet(await Queue.connect(QueueSettings(**options), install=install))
            if puppet:
                await puppet.queue.close()
            return opened, {"answer": "open"}
        if puppet is None:
            raise ValueError("nothing is open")
        kind, move = MOVES[said.move]
        return puppet, {"answer": await move(puppet, msgspec.json.decode(said.says, type=kind))}
    except REFUSALS as error:
        return puppet, {"error": f"{type(error).__name__}: {error}"}


async def main() -> None:
    """Make moves until the input ends."""
    loop = asyncio.get_running_loop()
    puppet: Puppet | None = None
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        puppet, answer = await play(puppet, line)
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()
    if puppet:
        await puppet.queue.close()


if __name__ == "__main__":
    asyncio.run(main())
