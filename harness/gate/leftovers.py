"""After a run on a target that somebody else runs: what is left of the run's jobs is brought to an end, or told."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection
from typing import Any, Final

import httpx

from harness.clients import ExpectationTimeout, LegacyClient, ModernClient, Refused, Unreachable
from harness.clients.hub_clients import open_jobs
from harness.clients.transport import plain_http
from harness.results.formatting import listed, plural
from harness.targets import StackTarget, Target

WHY: Final = "the run that submitted it is over"
OPEN: Final = ("pending", "claimed")
ROUNDS: Final = 50
"""Listings that are read at most: each shows up to 100 jobs."""
ANSWER_S: Final = 5.0


async def end_what_is_left(targets: Collection[Target], services: Collection[str]) -> list[str]:
    """Cancel what has not ended of the jobs that need these services, which only this run has. Answers in a sentence
    for each target what could not be brought to an end.
    """
    told = []
    for target in targets:
        try:
            left = await (_of_stack if isinstance(target, StackTarget) else _of_hub)(target, services)
        except (httpx.HTTPError, ExpectationTimeout, Refused, Unreachable, TimeoutError) as error:
            told.append(f"The {target.side}: whether jobs of this run are left could not be found out: {error}.")
            continue
        if left:
            told.append(f"The {target.side}: {plural(len(left), 'job')} of this run did not end: {listed(left)}.")
    return told


async def _of_stack(target: Target, services: Collection[str]) -> list[str]:
    async with (
        plain_http(target.http_url, target.token, ANSWER_S) as http,
        ModernClient(target.http_url, token=target.token) as client,
    ):

        async def still_open() -> list[str]:
            found: list[str] = []
            for service in services:
                for status in OPEN:
                    query: dict[str, Any] = {"service": service, "status": status, "limit": 100}
                    answer = (await http.get("/api/jobs", params=query)).raise_for_status()
                    found += [str(job["job_id"]) for job in answer.json()["jobs"]]
            return found

        tried: set[str] = set()
        for _ in range(ROUNDS):
            new = [job_id for job_id in await still_open() if job_id not in tried]
            if not new:
                break
            tried.update(new)
            await asyncio.gather(*(client.cancel(job_id, WHY) for job_id in new), return_exceptions=True)
        return await still_open()


async def _of_hub(target: Target, services: Collection[str]) -> list[str]:
    """A hub shows what has not ended to its monitors alone."""
    names = f"hubgate-leftovers-{secrets.token_hex(4)}"

    async def still_open() -> list[str]:
        return await open_jobs(target.ws_url, f"{names}-monitor", services, token=target.token, timeout_s=ANSWER_S)

    async with LegacyClient(target.ws_url, names, token=target.token) as client:
        for job_id in await still_open():
            await client.cancel(job_id, WHY, timeout_s=ANSWER_S)
    return await still_open()
