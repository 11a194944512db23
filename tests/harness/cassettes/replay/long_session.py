"""A long session at a hub, recorded: hundreds of frames of two workers, three clients, a monitor and a program."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from harness.cassettes import Cassette, load
from harness.cassettes.record import Recorder, Sessions
from harness.clients import HubWorker, LegacyClient, Monitor
from harness.clients.hub_worker import Assignment
from harness.protocols.hub import Frame, worker_status
from harness.targets import HubTarget
from harness.testing.waiting import until

PRIORITIES = (0, 5, 0, 9, 5, 0, 2, 9)
ROUNDS = 3
LINGER_S = 0.3
"""The worker stays for so long before it leaves: a replay lingers where the recording did, so that what comes late to
the others comes before that.
"""


def script(number: int) -> dict[str, Any]:
    """Of every fifth job the first attempt fails."""
    steps: list[dict[str, Any]] = [{"sleep_ms": 15 + 10 * (number % 3), "progress": at} for at in (20, 60, 90)]
    if number % 5 == 2:
        steps.insert(1, {"fail": f"no memory for {number}", "attempts": 1})
    return {"simulate": [*steps, {"result": {"made": number}}]}


class BusyWorker(HubWorker):
    """As real workers do, it says that it is busy."""

    async def _send(self, frames: list[Frame], job: Assignment | None) -> None:
        busy = [worker_status(self.session.worker_id, "busy")] if job else []
        await super()._send([*frames, *busy], job)


async def record_long_session(hub: HubTarget, folder: Path) -> Cassette:
    """Jobs wait in every round, some fail once, some are cancelled or asked for while they wait; a client reconnects
    with its jobs under way, a worker leaves between two rounds and comes back.
    """
    sessions = Sessions(folder / "long-session.jsonl", about="A long session.", today="2026-11-30")
    attempts: Counter[str] = Counter()
    async with (
        Recorder(hub.http_url, sessions) as recorder,
        Monitor(recorder.ws_url, "watch") as monitor,
        LegacyClient(recorder.ws_url, "shop") as shop,
        LegacyClient(recorder.ws_url, "studio") as studio,
        BusyWorker(recorder.ws_url, "worker-a", attempts=attempts),
        httpx.AsyncClient(base_url=recorder.url, trust_env=False) as http,
    ):
        for number in range(ROUNDS):
            async with BusyWorker(recorder.ws_url, "worker-b", attempts=attempts):
                await _round(number, shop, studio, monitor, http)
    await until(lambda: not sessions.is_open)
    return load(sessions.written[0])


async def _round(
    number: int, shop: LegacyClient, studio: LegacyClient, monitor: Monitor, http: httpx.AsyncClient
) -> None:
    jobs: list[tuple[LegacyClient, str]] = []
    for place, priority in enumerate(PRIORITIES):
        client = (shop, studio)[place % 2]
        n = number * len(PRIORITIES) + place
        jobs.append((client, await client.submit(script(n), priority=priority, job_id=f"job-{n}")))
    late = await studio.submit({"simulate": []}, priority=-1, job_id=f"late-{number}")
    await studio.status(late)
    await studio.cancel(late, "too late")
    await monitor.send({"type": "get_system_status"})
    by_rest = await http.post(
        "/api/jobs", json={"job_type": "simulation", "payload": script(1), "job_id": f"rest-{number}"}
    )
    for client, job_id in jobs:
        await client.wait_for(
            lambda message, job_id=job_id: message.get("type") == "complete_job" and message["job_id"] == job_id,
            f"the end of {job_id}",
            timeout_s=60,
        )
    await monitor.expect("complete_job", job_id=by_rest.json()["job_id"], timeout_s=60)
    await shop.drop()
    await shop.open()
    await shop.status(jobs[0][1])
    await until(lambda: "busy" not in _statuses(monitor).values(), what="that every worker has nothing to do")
    await asyncio.sleep(LINGER_S)


def _statuses(monitor: Monitor) -> dict[str, str]:
    """What each worker said last of itself, as the hub's monitors are told it."""
    return {told["worker_id"]: told["status"] for told in monitor.messages("worker_status")}
