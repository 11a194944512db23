"""The whole queue against a plain model: any calls in any order, by several workers that die between any two of them.

Time is the test's: a lease runs out and a retry falls due when a rule says so. After every step the whole of Redis is
held against the model, so a job in two places or in none, a second end, a wrong place in line or a lost event shows.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from new_stack.queue import (
    Completed,
    End,
    Failed,
    InvalidTransition,
    JobConflict,
    JobState,
    Lease,
    LeaseLost,
    LeaseState,
    NewJob,
    ProgressUpdate,
    Queue,
    QueueSettings,
    Released,
    WorkerReport,
)
from tests.new_stack.conftest import ValkeyProcess
from tests.new_stack.queue.model import MAX_DELIVERIES, Model

WORKERS = ("w1", "w2", "w3")
JOBS = 5
"""Few, so that the rules meet again and again at the same ones."""

KINDS = ("complete", "fail", "fail_for_good", "release")
ENDS = frozenset({"completed", "failed", "cancelled"})


def end_of(kind: str, lease: Lease) -> End:
    match kind:
        case "complete":
            return Completed(lease=lease)
        case "release":
            return Released(lease=lease)
        case _:
            return Failed(lease=lease, error="boom", retryable=kind == "fail")


class QueueMachine(RuleBasedStateMachine):
    """`leases` keeps every lease ever given out: a worker that was taken for dead may still come back with one."""

    url = ""
    jobs: Bundle[str] = Bundle("jobs")
    leases: Bundle[Lease] = Bundle("leases")
    workers = st.sampled_from((*WORKERS, "w1", "w1"))
    priorities = st.sampled_from([0, 0, 0, 1, -1, 4096, -4096])

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.model = Model()
        options = QueueSettings(
            redis_url=self.url,
            prefix=f"m{uuid.uuid4().hex[:10]}:",
            lease_ms=3_600_000,
            heartbeat_ttl_ms=3_600_000,
            retry_backoff_ms=3_600_000,
            retry_backoff_max_ms=3_600_000,
            max_deliveries=MAX_DELIVERIES,
        )
        self.queue = self.run(Queue.connect(options))
        self.run(self.queue.reap())
        for worker_id in WORKERS:
            self.run(self.queue.heartbeat(WorkerReport(worker_id=worker_id)))

    def teardown(self) -> None:
        if hasattr(self, "queue"):
            self.run(self.queue.close())
            self.loop.close()

    def run(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def redis(self, name: str, key: str, *arguments: Any) -> Any:
        return self.run(self.queue._caller.connection.call(name, self.queue.settings.prefix + key, *arguments))

    def members(self, key: str) -> set[str]:
        return {member.decode() for member in self.redis("ZRANGE", key, 0, -1)}

    # submitters
    @precondition(lambda self: len(self.model.jobs) < JOBS)
    @rule(target=jobs, priority=priorities, retries=st.integers(0, 2))
    def submit(self, priority: int, retries: int) -> str:
        job_id = f"j{len(self.model.jobs) + 1}"
        said = self.run(self.queue.submit(NewJob(id=job_id, priority=priority, max_retries=retries)))
        self.model.submit(job_id, priority, retries)
        assert said.created
        assert said.position == [job.id for job in self.model.line()].index(job_id) + 1
        return job_id

    @precondition(lambda self: len(self.model.jobs) < JOBS)
    @rule(target=jobs, priorities=st.lists(priorities, min_size=2, max_size=3))
    def submit_many(self, priorities: list[int]) -> Any:
        first = len(self.model.jobs) + 1
        batch = [NewJob(id=f"j{first + i}", priority=p, max_retries=1) for i, p in enumerate(priorities)]
        said = self.run(self.queue.submit_many(batch))
        for job in batch:
            self.model.submit(str(job.id), job.priority, 1)
        assert all(answer.created for answer in said)
        return multiple(*(str(job.id) for job in batch))

    @rule(job_id=jobs, same=st.booleans())
    def submit_again(self, job_id: str, same: bool) -> None:
        job = self.model.jobs[job_id]
        again = NewJob(id=job_id, priority=job.priority, max_retries=job.max_retries + (not same))
        if same:
            said = self.run(self.queue.submit(again))
            assert (said.created, said.state) == (False, job.state)
        else:
            with pytest.raises(JobConflict):
                self.run(self.queue.submit(again))

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        if self.model.cancel(job_id):
            assert self.run(self.queue.cancel(job_id)).state is JobState.CANCELLED
        else:
            with pytest.raises(InvalidTransition):
                self.run(self.queue.cancel(job_id))

    @rule(job_id=jobs)
    def retry(self, job_id: str) -> None:
        if self.model.retry(job_id):
            assert self.run(self.queue.retry(job_id)).state is JobState.PENDING
        else:
            with pytest.raises(InvalidTransition):
                self.run(self.queue.retry(job_id))

    # workers
    @rule(target=leases, worker_id=workers, count=st.integers(1, 4))
    def claim(self, worker_id: str, count: int) -> Any:
        leases = self.run(self.queue.claim(worker_id, count))
        assert [lease.job_id for lease in leases] == self.model.claim(worker_id, count)
        assert all(lease.attempt == self.model.jobs[lease.job_id].attempt for lease in leases)
        return multiple(*leases)

    @rule(target=leases, worker_id=workers)
    def wait_and_claim(self, worker_id: str) -> Any:
        self.redis("DEL", f"signals:{worker_id}", f"{self.queue.settings.prefix}wake:{worker_id}")
        self.model.woken.discard(worker_id)
        self.redis("RPUSH", f"signals:{worker_id}", "0 nobody")  # so that the wait ends at once
        leases, signal = self.run(self.queue.wait_and_claim(worker_id, 1, timeout_ms=3_600_000))
        assert signal is not None
        assert [lease.job_id for lease in leases] == self.model.claim(worker_id, 1)
        if not leases:
            self.model.wait(worker_id)
        return multiple(*leases)

    @rule(worker_id=workers, count=st.integers(1, 3))
    def claim_and_die_before_the_answer(self, worker_id: str, count: int) -> None:
        self.run(self.queue.claim(worker_id, count))
        self.model.claim(worker_id, count)

    @rule(target=leases)
    def all_claim_at_once(self) -> Any:
        self.model.promote()
        before = {job.id for job in self.model.line()}
        claims = self.run(self._claims())
        leases = [lease for answer in claims for lease in answer]
        assert len({lease.job_id for lease in leases}) == len(leases), "a job is held by two"
        assert {lease.job_id for lease in leases} <= before
        for lease in leases:
            job = self.model.jobs[lease.job_id]
            assert job in self.model.claimable(lease.worker_id)
            self.model.hold(job, lease.worker_id)
        idle = [worker for worker, answer in zip(WORKERS, claims, strict=True) if len(answer) < 2]
        left = [job for worker in idle for job in self.model.claimable(worker) if not job.alone]
        assert not left or any(job.alone for job in self.model.jobs.values()), "a job was left lying"
        return multiple(*leases)

    async def _claims(self) -> Any:
        return await asyncio.gather(*(self.queue.claim(worker, 2) for worker in WORKERS))

    @rule(lease=leases, kind=st.sampled_from(KINDS), repeated=st.booleans())
    def end(self, lease: Lease, kind: str, repeated: bool) -> None:
        for _ in range(1 + repeated):
            expected = self.model.end(kind, lease.job_id, lease.attempt, lease.worker_id)
            [[answer], _] = self.run(self.queue.end_and_claim(lease.worker_id, [end_of(kind, lease)], 0))
            self.check_answer(answer, expected)

    @rule(
        target=leases,
        worker_id=workers,
        ends=st.lists(st.tuples(leases, st.sampled_from(KINDS)), max_size=3),
        count=st.integers(0, 2),
    )
    def end_and_claim(self, worker_id: str, ends: list[tuple[Lease, str]], count: int) -> Any:
        expected = [self.model.end(kind, lease.job_id, lease.attempt, lease.worker_id) for lease, kind in ends]
        answers, leases = self.run(self.queue.end_and_claim(worker_id, [end_of(k, e) for e, k in ends], count))
        for answer, word in zip(answers, expected, strict=True):
            self.check_answer(answer, word)
        assert [lease.job_id for lease in leases] == (self.model.claim(worker_id, count) if count else [])
        return multiple(*leases)

    def check_answer(self, answer: Any, expected: JobState | LeaseState) -> None:
        if isinstance(expected, LeaseState):
            assert isinstance(answer, LeaseLost)
            assert answer.cancelled == (expected is LeaseState.CANCELLED)
        else:
            assert answer is expected

    @rule(lease=leases)
    def renew(self, lease: Lease) -> None:
        held = self.model.keeps(lease.job_id, lease.attempt, lease.worker_id)
        expected = LeaseState.HELD if held else self.model.refusal(lease.job_id, lease.attempt)
        assert self.run(self.queue.renew([lease])) == [expected]

    @rule(lease=leases, percent=st.integers(-1, 100))
    def progress(self, lease: Lease, percent: int) -> None:
        job = self.model.jobs[lease.job_id]
        if self.model.keeps(lease.job_id, lease.attempt, lease.worker_id):
            self.run(self.queue.progress(lease, ProgressUpdate(progress=percent)))
            job.events.append("progress")
        else:
            with pytest.raises(LeaseLost):
                self.run(self.queue.progress(lease, ProgressUpdate(progress=percent)))

    @rule(worker_id=workers)
    def a_wait_ends(self, worker_id: str) -> None:
        self.redis("ZREM", "idle:*", worker_id)
        self.model.stop_waiting(worker_id)

    # time
    @rule(job_id=jobs)
    def a_lease_runs_out(self, job_id: str) -> None:
        self.redis("ZADD", "leases", "XX", 1, job_id)
        self.model.jobs[job_id].expired = self.model.jobs[job_id].state is JobState.CLAIMED

    @rule(job_id=jobs)
    def a_retry_falls_due(self, job_id: str) -> None:
        self.redis("ZADD", "delayed", "XX", 1, job_id)
        self.model.jobs[job_id].due = self.model.jobs[job_id].delayed

    @rule()
    def reap(self) -> None:
        assert set(self.run(self.queue.reap())) == self.model.reap()

    @rule(target=leases, lease=leases, worker_id=workers, kind=st.sampled_from(KINDS))
    def a_slow_worker_ends_what_was_given_to_another(self, lease: Lease, worker_id: str, kind: str) -> Any:
        self.a_lease_runs_out(lease.job_id)
        self.reap()
        again = self.claim(worker_id, JOBS + 3)
        self.end(lease, kind, repeated=False)
        return again

    # what must hold at any time
    @invariant()
    def redis_agrees(self) -> None:
        if not hasattr(self, "queue"):
            return
        line = [member.decode()[10:] for member in self.redis("ZRANGE", "ready:unknown", 0, -1, "REV")]
        assert line == [job.id for job in self.model.line()]
        assert self.members("leases") == set(self.model.in_state(JobState.CLAIMED))
        assert self.members("delayed") == {job.id for job in self.model.jobs.values() if job.delayed}
        for state in (JobState.FAILED, JobState.CANCELLED):
            assert self.members(state) == set(self.model.in_state(state))
        ended = {job.id for job in self.model.jobs.values() if job.events[-1] in ENDS}
        assert self.members("ended") == ended
        assert self.members("jobs") == set(self.model.jobs)
        assert self.members("idle:*") == set(self.model.idle)
        counts = self.run(self.queue.counts())
        assert counts.by_service == ({"unknown": len(line)} if line else {})
        assert counts.pending == len(self.model.in_state(JobState.PENDING))
        assert counts.completed == len(self.model.in_state(JobState.COMPLETED))

    @invariant()
    def records_and_events_agree(self) -> None:
        for job in self.model.jobs.values() if hasattr(self, "queue") else ():
            record = self.run(self.queue.job(job.id))
            assert record is not None
            facts = (record.state, record.attempt, record.failures, record.worker_id)
            assert facts == (job.state, job.attempt, job.failures, job.worker_id)
            events = [str(event.kind) for event in self.run(self.queue.history(job.id))]
            assert events == job.events
            ends = "".join("E" if e in ENDS else "R" if e == "retried" else "" for e in events)
            assert "EE" not in ends, "ended twice"


def test_the_queue_agrees_with_the_model(valkey: ValkeyProcess) -> None:
    QueueMachine.url = valkey.url
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
