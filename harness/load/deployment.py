"""What a load runs against: a stack or a hub that is started for it, or one that somebody else runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from harness.load.fleet import Fleet
from harness.load.spec import LoadSpec, Side
from harness.processes import Process, Processes, RedisServer, log_says, open_redis, services

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """The stack's own count of its queue at one moment (seconds since the load's start)."""

    second: float
    pending: int
    claimed: int
    delayed: int


class Site:
    """A target and what of it is ours: `parts` says which process plays which part, for the memory's books."""

    def __init__(self, spec: LoadSpec, url: str) -> None:
        self.spec = spec
        self.url = url
        self.fleet: Fleet | None = None
        self.server: Process | None = None
        """The hub or the API, where it is ours."""
        self.redis: RedisServer | None = None
        self.parts: dict[str, str] = {}
        """Process name to part: api, hub, redis, workers."""

    async def depth(self, second: float) -> Depth | None:
        """The queue as the stack counts it; None on a hub (there, asking would be a load of its own) or on trouble."""
        if self.spec.side is Side.HUB:
            return None
        with contextlib.suppress(OSError, ValueError, KeyError):
            counts = (await asyncio.to_thread(_fetch, f"{self.url}/api/stats", self.spec.token))["queue"]
            return Depth(
                second=round(second, 2),
                pending=counts["pending"],
                claimed=counts["claimed"],
                delayed=counts.get("delayed", 0),
            )
        return None


class SiteError(Exception):
    """The target cannot be used as asked; the sentence says why."""


@asynccontextmanager
async def open_site(spec: LoadSpec, processes: Processes) -> AsyncIterator[Site]:
    """Start what is ours of the target, and stop it afterwards. Raises SiteError and EnvironmentFailure."""
    if spec.url and urlsplit(spec.url).hostname not in LOOPBACK:
        raise SiteError(f"{spec.url} is not on this machine: loads go to the loopback only")
    site = await (_given(spec, processes) if spec.url else _own(spec, processes))
    watch = asyncio.create_task(site.fleet.watch()) if site.fleet else None
    try:
        yield site
    finally:
        if watch:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        if site.fleet:
            await site.fleet.stop()
        for name in reversed(list(site.parts)):
            await asyncio.to_thread(processes[name].stop)


async def _given(spec: LoadSpec, processes: Processes) -> Site:
    """Somebody else's target; a fleet of ours may still work for it."""
    site = Site(spec, (spec.url or "").rstrip("/").replace("ws://", "http://"))
    try:
        await asyncio.to_thread(_answers, site.url + ("/" if spec.side is Side.HUB else "/health"))
    except OSError as error:
        raise SiteError(f"nothing answers at {site.url}: {getattr(error, 'reason', error)}") from error
    if spec.fleet and spec.side is Side.STACK and not spec.redis:
        raise SiteError("a fleet of ours needs the stack's Redis: give its URL, or --fleet 0 where workers are there")
    await _staff(site, processes, spec.redis or "")
    return site


async def _own(spec: LoadSpec, processes: Processes) -> Site:
    """A fresh target of ours on its own Redis (or an empty database of a given one)."""
    redis = await asyncio.to_thread(open_redis, spec.redis, processes, appendonly=spec.durable)
    if spec.side is Side.HUB:
        launch = services.hub(redis_url=redis.url, token=spec.token, environment=spec.server_environment)
    else:
        launch = services.api(
            redis_url=redis.url,
            prefix=spec.prefix,
            token=spec.token,
            environment=spec.server_environment,
            overlay=Path(spec.overlay) if spec.overlay else None,
        )
    process = await processes.astart(launch)
    site = Site(spec, process.http_url)
    site.server, site.redis = process, redis
    site.parts = {name: "redis" for name in processes.pids() if name.startswith("valkey")}
    site.parts[process.name] = str(spec.side) if spec.side is Side.HUB else "api"
    await _staff(site, processes, redis.url)
    return site


async def _staff(site: Site, processes: Processes, redis_url: str) -> None:
    """Start the workers."""
    spec = site.spec
    if not spec.fleet:
        return
    if spec.side is Side.HUB:
        ws_url = "ws" + site.url.removeprefix("http")
        arguments = ["--url", ws_url, "--count", str(spec.fleet), "--service", spec.job.service]
        launches = [
            services.module_launch(
                "harness.clients.hub_worker", arguments, name="hub-workers", probe=log_says("workers_ready")
            )
        ]
    else:
        launches = [
            services.worker(
                f"worker-{number}",
                redis_url=redis_url,
                prefix=spec.prefix,
                poll_ms=spec.poll_ms,
                environment=spec.worker_environment,
                overlay=Path(spec.overlay) if spec.overlay else None,
            )
            for number in range(1, spec.fleet + 1)
        ]
    site.fleet = Fleet(processes, launches)
    await site.fleet.start()
    site.parts |= dict.fromkeys((launch.name for launch in launches), "workers")


def _answers(url: str) -> None:
    """Whatever is answered will do, an error page too."""
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
        pass


def _fetch(url: str, token: str | None) -> dict[str, dict[str, int]]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=2) as answer:  # noqa: S310 - loopback
        found: dict[str, dict[str, int]] = json.load(answer)
        return found
