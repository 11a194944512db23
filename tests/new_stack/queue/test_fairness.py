"""Fairness of matching, against the oracle in Python: unlike workers, mixed jobs, any calls in any order.

A worker with a free place that polls gets the best of all jobs that it can do, whatever else waits; and in the end
every job that somebody can do has been done.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from new_stack.matching import offered, why_not
from new_stack.queue import Claimant, Completed, Lease, NewJob, Queue, QueueSettings, Released, WorkerReport
from tests.new_stack.conftest import ValkeyProcess

OFFERS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "all": (("*",), {"models": "all", "hardware": {"gpu_memory_gb": 80}, "region": "eu"}),
    "small": (("draw",), {"models": ["a"], "hardware": {"gpu_memory_gb": 8}, "region": "eu"}),
    "far": (("draw", "cut"), {"models": ["a", "b"], "region": "us"}),
    "strict": (("*",), {"models": "all", "customers": {"isolation": "strict", "allow": ["acme"]}}),
    "denies": (("draw",), {"models": "all", "customers": {"deny": ["acme"]}}),
    "plain": (("cut",), {}),
}
ASKS = st.sampled_from(
    [
        None,
        None,
        {"models": ["a"]},
        {"models": ["a", "b"]},
        {"hardware": {"gpu_memory_gb": 24}},
        {"exclude": {"region": "us"}},
        {"exclude": {"workers": ["all"]}},
        {"exclude": {"workers": ["small", "denies"]}},
        {"region": "moon"},
        {"isolation": "strict"},
    ]
)


class Fairness(RuleBasedStateMachine):
    """`waiting` is what the test knows: each pending job with what it asks for, in the order of the queue."""

    url = ""

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        options = QueueSettings(redis_url=self.url, prefix=f"f{uuid.uuid4().hex[:10]}:", matching=True)
        options = msgspec.structs.replace(options, lease_ms=3_600_000, heartbeat_ttl_ms=3_600_000)
        self.queue = self.run(Queue.connect(options))
        self.workers = {
            name: Claimant(worker_id=name, services=services, offers=offered(offers))
            for name, (services, offers) in OFFERS.items()
        }
        for name, (services, offers) in OFFERS.items():
            self.run(self.queue.heartbeat(WorkerReport(worker_id=name, services=services, capabilities=offers)))
        self.jobs: dict[str, tuple[int, int, dict[str, Any]]] = {}
        self.waiting: set[str] = set()
        self.held: list[Lease] = []

    def teardown(self) -> None:
        if not hasattr(self, "queue"):
            return
        for name in OFFERS:
            self.waiting -= {lease.job_id for lease in self.run(self.queue.claim(self.workers[name], 5_000))}
        left = {job_id for job_id in self.waiting if any(self.can(name, job_id) for name in OFFERS)}
        assert not left, "jobs that somebody could have done were left over"
        self.run(self.queue.close())
        self.loop.close()

    def run(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def can(self, name: str, job_id: str) -> bool:
        services, offers = OFFERS[name]
        capabilities = {**offers, "services": list(services)}
        return why_not(self.jobs[job_id][2], {"id": name, "capabilities": capabilities}) is None

    def best(self, name: str) -> str | None:
        able = [job_id for job_id in self.waiting if self.can(name, job_id)]
        return min(able, key=lambda job_id: self.jobs[job_id][:2], default=None)

    @rule(
        asks=ASKS,
        service=st.sampled_from(["draw", "draw", "cut"]),
        customer=st.sampled_from([None, "acme", "other"]),
        priority=st.integers(0, 2),
        count=st.sampled_from([1, 1, 1, 130]),
    )
    def submit(self, asks: Any, service: str, customer: str | None, priority: int, count: int) -> None:
        own = {"requirements": asks, "customer_id": customer}
        extra = msgspec.Raw(msgspec.json.encode(own))
        first = len(self.jobs)
        new = [
            NewJob(id=f"j{first + n}", service_required=service, priority=priority, extra=extra) for n in range(count)
        ]
        self.run(self.queue.submit_many(new))
        wanted = {"service": service, "customer": customer, "requirements": asks}
        for job in new:
            self.jobs[str(job.id)] = (-priority, len(self.jobs), wanted)
            self.waiting.add(str(job.id))

    @rule(name=st.sampled_from([*OFFERS]))
    def claim(self, name: str) -> None:
        expected = self.best(name)
        leases = self.run(self.queue.claim(self.workers[name]))
        assert [lease.job_id for lease in leases] == ([expected] if expected else [])
        self.waiting -= {lease.job_id for lease in leases}
        self.held += leases

    @precondition(lambda self: self.held)
    @rule(complete=st.booleans(), data=st.data())
    def end(self, complete: bool, data: Any) -> None:
        lease = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.run(self.queue.end(Completed(lease=lease) if complete else Released(lease=lease)))
        if not complete:
            self.waiting.add(lease.job_id)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.waiting)))
        self.run(self.queue.cancel(job_id))
        self.waiting.discard(job_id)


def test_a_claim_finds_the_best_job_that_the_worker_can_do(valkey: ValkeyProcess) -> None:
    Fairness.url = valkey.url
    run_state_machine_as_test(
        Fairness,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )
