"""The queue as plain Python: what Redis must agree with after every call. No Redis, no clock, no cleverness."""

from __future__ import annotations

from dataclasses import dataclass, field

from new_stack.queue import JobState, LeaseState

MAX_DELIVERIES = 3


@dataclass
class ModelJob:
    id: str
    sequence: int
    priority: int
    max_retries: int
    state: JobState = JobState.PENDING
    attempt: int = 0
    failures: int = 0
    deliveries: int = 0
    worker_id: str | None = None
    failed_by: str | None = None
    failed_attempt: int = 0
    lost_by: str | None = None
    offered_to: str | None = None
    """Another worker than the one that failed it, woken for it."""
    delayed: bool = False
    due: bool = False
    expired: bool = False
    events: list[str] = field(default_factory=lambda: ["submitted"])

    @property
    def alone(self) -> bool:
        """It has lost two workers: nothing runs beside it."""
        return self.deliveries >= 2

    @property
    def in_line(self) -> bool:
        return self.state is JobState.PENDING and not self.delayed


@dataclass
class Model:
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    idle: list[str] = field(default_factory=list)
    """Workers that wait to be woken, the one that has waited longest first."""
    woken: set[str] = field(default_factory=set)
    """Those that were woken and have not looked yet."""

    # what can be asked
    def line(self) -> list[ModelJob]:
        return sorted((j for j in self.jobs.values() if j.in_line), key=lambda j: (-j.priority, j.sequence))

    def in_state(self, state: JobState) -> list[str]:
        return [job.id for job in self.jobs.values() if job.state is state]

    def holds(self, job_id: str, attempt: int, worker_id: str) -> bool:
        job = self.jobs[job_id]
        return (job.state, job.attempt, job.worker_id) == (JobState.CLAIMED, attempt, worker_id)

    def refusal(self, job_id: str, attempt: int) -> LeaseState:
        job = self.jobs[job_id]
        cancelled = job.state is JobState.CANCELLED and job.attempt == attempt
        return LeaseState.CANCELLED if cancelled else LeaseState.LOST

    def may_end(self, job_id: str, attempt: int, worker_id: str) -> bool:
        job = self.jobs[job_id]
        lost = (job.state, job.attempt, job.lost_by) == (JobState.PENDING, attempt, worker_id)
        return lost or self.holds(job_id, attempt, worker_id)

    def keeps(self, job_id: str, attempt: int, worker_id: str) -> bool:
        """Whether the attempt may go on; one whose lease ran out holds its job again."""
        job = self.jobs[job_id]
        if not self.may_end(job_id, attempt, worker_id):
            return False
        if job.state is JobState.PENDING:
            job.worker_id, job.lost_by, job.offered_to = worker_id, None, None
            job.deliveries -= 1
            self._become(job, JobState.CLAIMED, "claimed")
        job.expired = False
        return True

    # what can happen
    def submit(self, job_id: str, priority: int, max_retries: int) -> None:
        self.jobs[job_id] = ModelJob(job_id, len(self.jobs) + 1, priority, max_retries)
        self.wake()

    def wake(self, job: ModelJob | None = None) -> None:
        """One idle worker is woken; for a failed job another than the one that failed it, where there is one."""
        failed_by = job.failed_by if job else None
        others = [worker for worker in self.idle if worker != failed_by]
        woken = (others or self.idle)[:1]
        for worker_id in woken:
            self.stop_waiting(worker_id)
            self.woken.add(worker_id)
        if job:
            job.offered_to = woken[0] if failed_by and others else None

    def wait(self, worker_id: str) -> None:
        self.stop_waiting(worker_id)
        self.idle.append(worker_id)

    def stop_waiting(self, worker_id: str) -> None:
        self.idle = [other for other in self.idle if other != worker_id]

    def promote(self) -> None:
        for job in self.jobs.values():
            if job.delayed and job.due:
                job.delayed = job.due = False
                self.wake(job)

    def claimable(self, worker_id: str) -> list[ModelJob]:
        others = set(self.idle) - {worker_id}
        return [
            job for job in self.line() if job.failed_by != worker_id or not (others or job.offered_to in self.woken)
        ]

    def claim(self, worker_id: str, count: int) -> list[str]:
        self.promote()
        taken: list[ModelJob] = []
        for job in self.claimable(worker_id)[:count]:
            if job.alone and taken:
                break
            taken.append(job)
            if job.alone:
                break
        for job in taken:
            self.hold(job, worker_id)
        return [job.id for job in taken]

    def hold(self, job: ModelJob, worker_id: str) -> None:
        job.state, job.worker_id, job.lost_by, job.expired = JobState.CLAIMED, worker_id, None, False
        job.offered_to = None
        job.attempt += 1
        job.events.append("claimed")

    def end(self, kind: str, job_id: str, attempt: int, worker_id: str) -> JobState | LeaseState:
        job = self.jobs[job_id]
        repeated = self._repeated(kind, job, attempt, worker_id)
        if repeated is not None:
            return repeated
        if not (self.holds if kind == "release" else self.may_end)(job_id, attempt, worker_id):
            return self.refusal(job_id, attempt)
        job.worker_id, job.lost_by = worker_id, None
        if kind == "complete":
            return self._become(job, JobState.COMPLETED, "completed")
        if kind == "release":
            job.worker_id = None
            self.wake(job)
            return self._become(job, JobState.PENDING, "released")
        job.failures += 1
        job.failed_by, job.failed_attempt = worker_id, attempt
        if kind == "fail_for_good" or job.failures > job.max_retries:
            return self._become(job, JobState.FAILED, "failed")
        job.worker_id, job.delayed, job.due = None, True, False
        return self._become(job, JobState.PENDING, "attempt_failed")

    def _repeated(self, kind: str, job: ModelJob, attempt: int, worker_id: str) -> JobState | None:
        if kind == "complete" and (job.state, job.attempt, job.worker_id) == (JobState.COMPLETED, attempt, worker_id):
            return job.state
        if kind.startswith("fail") and (job.failed_attempt, job.failed_by) == (attempt, worker_id):
            return job.state if job.state in {JobState.PENDING, JobState.FAILED} else None
        return None

    def _become(self, job: ModelJob, state: JobState, event: str) -> JobState:
        job.state = state
        job.events.append(event)
        return state

    def cancel(self, job_id: str) -> bool:
        job = self.jobs[job_id]
        if job.state is JobState.CANCELLED:
            return True
        if job.state in {JobState.COMPLETED, JobState.FAILED}:
            return False
        job.delayed = job.due = False
        job.lost_by = None
        self._become(job, JobState.CANCELLED, "cancelled")
        return True

    def retry(self, job_id: str) -> bool:
        job = self.jobs[job_id]
        if job.state not in {JobState.FAILED, JobState.CANCELLED}:
            return False
        job.failures = job.deliveries = job.failed_attempt = 0
        job.worker_id = job.failed_by = job.lost_by = None
        self._become(job, JobState.PENDING, "retried")
        self.wake(job)
        return True

    def reap(self) -> set[str]:
        reaped = {job.id for job in self.jobs.values() if job.state is JobState.CLAIMED and job.expired}
        for job_id in reaped:
            job = self.jobs[job_id]
            job.deliveries += 1
            if job.deliveries >= MAX_DELIVERIES:
                self._become(job, JobState.FAILED, "failed")
            else:
                job.worker_id, job.lost_by = None, job.worker_id
                self._become(job, JobState.PENDING, "lease_expired")
                self.wake(job)
        self.promote()
        for _ in self.line():  # nobody came for it yet
            self.wake()
        return reaped
