"""A gate of targets that others use: what they have there is, at the end, as it was."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from harness.clients import HubWorker, LegacyClient
from harness.gate.context import Options
from harness.gate.preflight import Refused
from harness.gate.run import run_gate
from harness.processes import Processes, Valkey, services
from harness.results import PreflightRow, Run

OLDER = {"job:old": {"id": "old", "service_required": "simulation", "status": "pending"}}
"""The first new stack's layout."""
SERVES_OTHERS = f"{services.SERVING}something"
pytestmark = pytest.mark.timeout(300)


class Bystander:
    """Somebody whose jobs are in a stack's Redis: waiting ones, one that is over, one in an older layout, and a worker
    that is at work for others.
    """

    def __init__(self, processes: Processes, url: str, name: str, prefix: str = "") -> None:
        self.api = processes.start(services.api(redis_url=url, name=f"api-of-{name}", prefix=prefix))
        processes.start(services.worker(f"worker-of-{name}", redis_url=url, connector=SERVES_OTHERS, prefix=prefix))
        jobs = [{"service_required": "simulation", "id": f"{name}-{number}", "priority": 9} for number in range(3)]
        httpx.post(f"{self.api.http_url}/api/jobs", json=jobs).raise_for_status()
        httpx.post(f"{self.api.http_url}/api/jobs/{name}-2/cancel", json={}).raise_for_status()
        self._redis: Any = redis.Redis.from_url(url, decode_responses=True)
        for key, fields in OLDER.items():
            self._redis.hset(key, mapping=fields)
        self._redis.zadd("jobs:pending", {"old": 1})
        self._names = [f"{name}-{number}" for number in range(3)]

    def state(self) -> str:
        """All of it, as text."""
        jobs = [httpx.get(f"{self.api.http_url}/api/jobs/{name}").json() for name in self._names]
        workers = httpx.get(f"{self.api.http_url}/api/workers").json()["workers"]
        run = [worker.get("jobs_processed") for worker in workers if str(worker["worker_id"]).startswith("worker-of")]
        older = [self._redis.hgetall(key) for key in OLDER], self._redis.zrange("jobs:pending", 0, -1)
        return json.dumps(
            [[{k: job[k] for k in ("job_id", "status", "attempt", "worker_id")} for job in jobs], run, older]
        )


def told(run: Run, target: str, what: str) -> PreflightRow:
    (row,) = [row for row in run.preflight if (row.target, row.what) == (target, what)]
    return row


async def test_a_gate_by_url_leaves_everybodys_jobs_and_workers_on_hub_and_stack_as_they_were(
    processes: Processes, valkey: Valkey, tmp_path: Path
) -> None:
    url = valkey.url_of(1)
    theirs = Bystander(processes, url, "theirs")
    hub = await processes.astart(services.hub(name="hub-of-others"))
    async with LegacyClient(hub.ws_url, "bystander") as client:
        waiting = await client.submit({"simulate": []}, service="simulation")
        over = await client.submit({"simulate": []}, service="done")
        async with HubWorker(hub.ws_url, "worker-of-others", services=("done",)):
            await client.ended(over)
            before = theirs.state()
            options = Options(
                out=tmp_path, legacy=hub.http_url, candidate=theirs.api.http_url, redis=url, only=("legacy-clients",)
            )
            run, _ = await run_gate(options)
        assert theirs.state() == before
        assert (await client.status(waiting))["status"] == "pending"
        assert (await client.status(over))["status"] == "completed"
    assert [criterion.id for criterion in run.criteria if not criterion.left_out] == ["legacy-clients"]
    assert told(run, "stack", "waiting and running jobs").found == "2 pending"
    assert "the first new stack's queue, which is left alone" in told(run, "stack", "keys").note
    assert told(run, "hub", "waiting and running jobs").found == "1 pending"
    assert "given nothing" in told(run, "stack", "live workers").note


async def test_with_a_namespace_of_its_own_a_run_keeps_to_it(
    processes: Processes, valkey: Valkey, tmp_path: Path
) -> None:
    url = valkey.url_of(2)
    theirs = Bystander(processes, url, "neighbours", prefix="neighbours:")
    own = await processes.astart(services.api(redis_url=url, prefix="ours:", name="api-for-this-run"))
    before = theirs.state()
    options = Options(out=tmp_path, candidate=own.http_url, redis=url, namespace="ours:", only=("modern-clients",))
    run, _ = await run_gate(options)
    assert theirs.state() == before
    assert [criterion.id for criterion in run.criteria if not criterion.left_out] == ["modern-clients"]
    shared = Options(
        out=tmp_path, candidate=theirs.api.http_url, redis=url, namespace="neighbours:", only=("modern-clients",)
    )
    with pytest.raises(Refused, match="A namespace of its own was promised"):
        await run_gate(shared)
    assert theirs.state() == before
