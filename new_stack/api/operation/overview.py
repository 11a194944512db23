"""How it stands and what needs a person; and how it went, by service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from aiohttp import web

from new_stack.api.http.http_io import answer
from new_stack.api.http.problems import invalid
from new_stack.api.modern.wording import whole_number
from new_stack.api.operation.health import figures_of
from new_stack.api.services import SERVICES
from new_stack.queue.jobs import QueueCounts
from new_stack.queue.operation import LeaseAtRisk, Memory
from new_stack.queue.queue import Queue
from new_stack.queue.timeseries import RANGES
from new_stack.queue.unmet import Unmet

LATEST_MS: Final = 10**14
UNMET_SHOWN: Final = 10
REASONS_SHOWN: Final = 3
"""Of how many services it is told what their workers lack, and by how many reasons."""
NEARLY_FULL: Final = 0.8
"""The share of its limit from which on Redis's memory needs a person."""


class Attention(msgspec.Struct, frozen=True, kw_only=True):
    """Something that needs a person; `subject` is the service, worker or job that it is about."""

    kind: str
    subject: str
    count: int
    since: int | None
    text: str


async def overview(request: web.Request) -> web.Response:
    """GET /api/overview."""
    services = request.app[SERVICES]
    snapshot, load = await asyncio.gather(services.snapshots.take(), services.queue.load())
    counts = snapshot.counts
    figures: dict[str, Any] = figures_of(services, snapshot)
    takes_all = [one for one in snapshot.workers if one.alive and not one.draining_since and "*" in one.report.services]
    figures["workers"] |= {
        "draining": sum(worker.draining_since is not None for worker in snapshot.workers),
        "every_service": len(takes_all),
    }
    attention = [
        *_unserved(counts, figures["workers"]["alive"]),
        *[await _unmet(services.queue, name, unmet) for name, unmet in list(counts.unmet.items())[:UNMET_SHOWN]],
        *_paused(counts),
        *map(_lease, load.about_to_expire),
        *_memory(load.memory),
    ]
    unmet_since = {name: unmet.since for name, unmet in counts.unmet.items()}
    since = {"unserved_since": counts.unserved, "unmet_since": unmet_since, "paused_since": counts.paused}.items()
    shown = [msgspec.structs.asdict(one) | {name: at.get(one.service) for name, at in since} for one in load.services]
    about = {
        "at": load.at,
        "services": sorted(shown, key=lambda one: (-one["waiting"], one["service"])),
        "leases": {"held": counts.claimed, "about_to_expire": load.about_to_expire},
        "redis": load.memory,
        "attention": sorted(attention, key=lambda one: -one.count),
    }
    return answer(about | figures)


def _unserved(counts: QueueCounts, alive: int) -> Iterator[Attention]:
    for service, since in counts.unserved.items():
        count = counts.by_service.get(service, 0)
        why = "no worker serves it" if alive else "there is no worker"
        text = f"{_jobs(count)} for '{service}': {why}"
        yield Attention(kind="unserved", subject=service, count=count, since=since, text=text)


async def _unmet(queue: Queue, service: str, unmet: Unmet) -> Attention:
    """What the workers of a service cannot do, by the reasons why they cannot take one of the jobs."""
    found = await queue.explain(unmet.example)
    reasons = {one.reason: one.worker_id for one in found.unable if one.rule != "service"} if found else {}
    why = "; ".join(f"{unmet.example} on {worker}: {reason}" for reason, worker in [*reasons.items()][:REASONS_SHOWN])
    text = f"{_jobs(unmet.jobs)} for '{service}': no worker that serves it can do what they ask for"
    text += f" ({why})" if why else ""
    return Attention(kind="unmet", subject=service, count=unmet.jobs, since=unmet.since, text=text)


def _paused(counts: QueueCounts) -> Iterator[Attention]:
    for service, since in counts.paused.items():
        if count := counts.by_service.get(service, 0):
            text = f"{_jobs(count)} for '{service}', which is paused"
            yield Attention(kind="paused", subject=service, count=count, since=since, text=text)


def _lease(lease: LeaseAtRisk) -> Attention:
    text = f"The lease of job {lease.job_id} is about to run out: its worker {lease.worker_id} is silent"
    return Attention(kind="lease", subject=lease.job_id, count=1, since=None, text=text)


def _memory(memory: Memory) -> Iterator[Attention]:
    if memory.limit_bytes and memory.used_bytes > NEARLY_FULL * memory.limit_bytes:
        share = round(100 * memory.used_bytes / memory.limit_bytes)
        text = f"Redis's memory is {share} % full: beyond its limit no job is taken in"
        yield Attention(kind="memory", subject="redis", count=share, since=None, text=text)


def _jobs(count: int) -> str:
    return "1 job waits" if count == 1 else f"{count} jobs wait"


async def history(request: web.Request) -> web.Response:
    """GET /api/history: what happened in a range, of all together, of one service or by service."""
    query = request.query
    name = query.get("range", "1h")
    if name not in RANGES:
        raise invalid("range", f"must be one of {', '.join(RANGES)}")
    if query.get("by", "service") != "service":
        raise invalid("by", "must be service, or be left out")
    until = whole_number(request, "until", 0, 0, LATEST_MS)
    series = await request.app[SERVICES].queue.timeseries(
        RANGES[name], until_ms=until or None, by_service="by" in query, service=query.get("service", "")
    )
    return answer({"range": name} | msgspec.to_builtins(series))


ROUTES: Final = (
    ("GET", "/api/overview", overview),
    ("GET", "/api/history", history),
)
