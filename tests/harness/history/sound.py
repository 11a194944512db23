"""A sound queue, simulated: workers, crashes, stops, retries, cancels and subscribers, and the history they leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from harness.history import HistoryEvent, Limits, Source
from harness.protocols import EventKind, JobState, Mode

LIMITS = Limits(
    lease_ms=1_000,
    recovery_slack_ms=500,
    stuck_after_ms=4_000,
    delivery_grace_ms=200,
    cancel_within_ms=300,
    clock_slack_ms=20,
    retry_backoff_ms=100,
)
OWED = {
    EventKind.CLAIMED,
    EventKind.PROGRESS,
    EventKind.COMPLETED,
    EventKind.FAILED,
    EventKind.ATTEMPT_FAILED,
    EventKind.CANCELLED,
}
ENDED_STATES = {
    EventKind.COMPLETED: JobState.COMPLETED,
    EventKind.FAILED: JobState.FAILED,
    EventKind.CANCELLED: JobState.CANCELLED,
}


@dataclass
class Job:
    id: str
    service: str
    priority: int
    sequence: int
    steps: tuple[float, ...]
    fails: int
    """How many attempts fail; more than the retries allow: it fails for good."""
    state: JobState = JobState.PENDING
    attempt: int = 0
    failures: int = 0
    holder: Worker | None = None
    done: int = 0
    """Steps done in this attempt."""
    expires_ms: float = 0.0
    due_ms: float = 0.0
    failed_by: str = ""
    subscribers: list[Subscriber] = field(default_factory=list)


@dataclass
class Worker:
    id: str
    service: str
    job: Job | None = None
    down_until_ms: float | None = None
    stopped: bool = False
    pid: int = 0
    attempt: int = 0
    """Of the job that it last claimed."""


@dataclass
class Subscriber:
    name: str
    legacy: bool
    last_ms: float = 0.0


class SoundQueue:
    """Runs by random choices of one seed. `events` is what an honest set of recorders would have written."""

    def __init__(self, random: Random, *, jobs: int = 12, workers: int = 4, max_retries: int = 3) -> None:
        self.random = random
        self.now_ms = 1_000_000.0
        self.max_retries = max_retries
        self.events: list[HistoryEvent] = []
        self.jobs: list[Job] = []
        services = ["simulation"] if random.random() < 0.6 else ["simulation", "upscale"]
        self.workers = [Worker(f"w{n}", services[n % len(services)]) for n in range(max(workers, 2 * len(services)))]
        self.services = services
        for worker in self.workers:
            self.serve(worker)
        self.to_submit = jobs
        self._entries = 0
        self._reported_ms = 0.0

    def run(self) -> list[HistoryEvent]:
        actions = [self.submit, self.claim, self.claim, self.work, self.work, self.work]
        rare = [self.cancel, self.kill, self.stop, self.terminate, self.join, self.report, self.retry_by_hand]
        for turn in range(5_000):
            self.now_ms += self.random.uniform(0.5, 25)
            self.tend()
            if not self.to_submit and all(job.state in ENDED_STATES.values() for job in self.jobs):
                break
            if turn < 400 and self.random.random() < 0.12:
                self.random.choice(rare)()
            else:
                self.random.choice(actions)()
        return self.settle()

    # what happens
    def submit(self) -> None:
        if not self.to_submit:
            return
        self.to_submit -= 1
        number = len(self.jobs)
        steps = tuple(sorted(self.random.sample(range(1, 100), self.random.randint(0, 4))))
        fails = self.random.choice([0, 0, 0, 0, 1, 2, 9])
        job = Job(f"job-{number}", self.random.choice(self.services), self.random.choice([0, 0, 0, 5, -1]), number,
                  tuple(map(float, steps)), fails)  # fmt: skip
        self.jobs.append(job)
        expects = EventKind.FAILED if fails > self.max_retries else EventKind.COMPLETED
        self.client(EventKind.SUBMIT, job, steps=job.steps, expects=expects, max_retries=self.max_retries)
        self.now_ms += 0.4
        subscriber = Subscriber(f"client-{number % 3}", legacy=number % 3 == 0)
        job.subscribers.append(subscriber)
        self.log(EventKind.SUBMITTED, job)
        self.now_ms += 0.4
        self.client(EventKind.ACCEPTED, job)
        self.client(EventKind.SUBSCRIBED, job, mode=Mode.WHOLE)

    def claim(self) -> None:
        idle = [w for w in self.workers if w.job is None and w.down_until_ms is None]
        if not idle:
            return
        worker = self.random.choice(idle)
        line = [
            job
            for job in self.jobs
            if job.state is JobState.PENDING
            and job.service == worker.service
            and job.due_ms <= self.now_ms
            and job.failed_by != worker.id
        ]
        if not line:
            return
        job = min(line, key=lambda job: (-job.priority, job.sequence))
        job.state, job.holder, job.done = JobState.CLAIMED, worker, 0
        job.attempt += 1
        job.expires_ms = self.now_ms + LIMITS.lease_ms
        worker.job, worker.attempt = job, job.attempt
        self.log(EventKind.CLAIMED, job, worker)
        self.now_ms += 0.2
        self.journal(EventKind.STARTED, worker, job, service=job.service, in_use=1)

    def work(self) -> None:
        busy = [w for w in self.workers if w.job and w.down_until_ms is None]
        if not busy:
            return
        worker = self.random.choice(busy)
        job = worker.job
        assert job
        if job.holder is not worker or job.state is not JobState.CLAIMED:
            self.journal(EventKind.FINISHED, worker, job, of=EventKind.RELEASED)
            worker.job = None  # refused: the lease is lost
            return
        if job.done < len(job.steps):
            job.done += 1
            self.journal(EventKind.STEPPED, worker, job, progress=job.steps[job.done - 1])
            self.log(EventKind.PROGRESS, job, worker, progress=job.steps[job.done - 1])
        elif job.failures < job.fails:
            self.fail(job, worker)
        else:
            self.journal(EventKind.FINISHED, worker, job, of=EventKind.COMPLETED, result=job.id)
            self.end(EventKind.COMPLETED, job, worker, result=job.id)

    def fail(self, job: Job, worker: Worker) -> None:
        self.journal(EventKind.FINISHED, worker, job, of=EventKind.ATTEMPT_FAILED)
        job.failures += 1
        job.failed_by = worker.id
        if job.failures > self.max_retries:
            self.end(EventKind.FAILED, job, worker)
            return
        job.state, job.holder, worker.job = JobState.PENDING, None, None
        job.due_ms = self.now_ms + LIMITS.retry_backoff_ms
        self.log(EventKind.ATTEMPT_FAILED, job, worker, error="CUDA out of memory")

    def end(self, kind: EventKind, job: Job, worker: Worker | None, **fields: Any) -> None:
        job.state, job.holder = ENDED_STATES[kind], None
        if worker and worker.job is job:  # it may be a new process under the old name, with another job
            worker.job = None
        self.log(kind, job, worker, **fields)

    def cancel(self) -> None:
        alive = [job for job in self.jobs if job.state in (JobState.PENDING, JobState.CLAIMED)]
        if not alive:
            return
        job = self.random.choice(alive)
        holder = job.holder
        self.client(EventKind.CANCEL, job)
        self.now_ms += 0.4
        runs = holder is not None and holder.job is job
        self.end(EventKind.CANCELLED, job, holder)
        self.now_ms += 0.4
        self.client(EventKind.CANCEL_ACCEPTED, job)
        if holder and holder.down_until_ms is None:
            if runs:
                self.journal(EventKind.FINISHED, holder, job, of=EventKind.RELEASED)
            self.report(holder)

    def retry_by_hand(self) -> None:
        ended = [job for job in self.jobs if job.state in (JobState.FAILED, JobState.CANCELLED)]
        if not ended:
            return
        job = self.random.choice(ended)
        job.state, job.failures, job.due_ms, job.failed_by = JobState.PENDING, 0, 0.0, ""
        self.log(EventKind.RETRIED, job)

    def kill(self) -> None:
        self.fault(EventKind.KILLED, down_ms=self.random.uniform(100, 800))

    def stop(self) -> None:
        self.fault(EventKind.STOPPED, down_ms=self.random.uniform(50, 2_500))

    def terminate(self) -> None:
        worker = self.fault(EventKind.TERMINATED, down_ms=300)
        job = worker.job if worker else None
        if worker and job and job.holder is worker:
            self.now_ms += 5
            self.journal(EventKind.FINISHED, worker, job, of=EventKind.RELEASED)
            job.state, job.holder, worker.job = JobState.PENDING, None, None
            self.log(EventKind.RELEASED, job, worker)

    def fault(self, kind: EventKind, *, down_ms: float) -> Worker | None:
        up = [w for w in self.workers if w.down_until_ms is None]
        if len(up) <= len(self.workers) // 2:
            return None
        worker = self.random.choice(up)
        worker.down_until_ms = self.now_ms + down_ms
        worker.stopped = kind is EventKind.STOPPED
        if kind is EventKind.KILLED:
            worker.job = None
        self.harness(kind, worker)
        return worker

    def join(self) -> None:
        """A second client follows a job from now on."""
        alive = [job for job in self.jobs if job.state in (JobState.PENDING, JobState.CLAIMED)]
        if alive:
            job = self.random.choice(alive)
            subscriber = Subscriber(f"late-{len(job.subscribers)}", legacy=True, last_ms=self.now_ms)
            job.subscribers.append(subscriber)
            self.client(EventKind.SUBSCRIBED, job, by=subscriber.name, mode=Mode.LIVE)

    def report(self, worker: Worker | None = None) -> None:
        """The list of workers is read."""
        for one in [worker] if worker else self.workers:
            if one.down_until_ms is None:
                running = tuple([one.job.id] if one.job and one.job.holder is one else [])
                self.add(Source.API, EventKind.WORKER_STATUS, worker_id=one.id, running=running)

    # time
    def tend(self) -> None:
        """Heartbeats, the reaper, processes that come back, and somebody who reads the list of workers."""
        if self.now_ms - self._reported_ms > 150:
            self._reported_ms = self.now_ms
            self.report()
        for worker in self.workers:
            if worker.down_until_ms is not None and worker.down_until_ms <= self.now_ms:
                worker.down_until_ms = None
                if not worker.stopped:
                    self.serve(worker)
                self.harness(EventKind.CONTINUED if worker.stopped else EventKind.UP, worker)
            job = worker.job
            if worker.down_until_ms is None and job and job.holder is worker and job.expires_ms > self.now_ms:
                job.expires_ms = self.now_ms + LIMITS.lease_ms
        for job in self.jobs:
            if job.state is JobState.CLAIMED and job.expires_ms <= self.now_ms:
                holder, job.holder, job.state = job.holder, None, JobState.PENDING
                self.log(EventKind.LEASE_EXPIRED, job, holder)

    def settle(self) -> list[HistoryEvent]:
        self.now_ms += 1_000
        for job in self.jobs:
            self.add(Source.API, EventKind.STATUS, job_id=job.id, state=job.state)
        self.add(Source.HARNESS, EventKind.SETTLED)
        return sorted(self.events, key=lambda event: event.at_ms)

    # who writes it down
    def add(self, source: Source, kind: EventKind, **fields: Any) -> None:
        at_ms = fields.pop("at_ms", self.now_ms)
        self.events.append(HistoryEvent(at_ms=at_ms, source=source, kind=kind, **fields))

    def client(self, kind: EventKind, job: Job, *, by: str | None = None, **fields: Any) -> None:
        name = by or f"client-{job.sequence % 3}"
        self.add(Source.CLIENT, kind, by=name, job_id=job.id, service=job.service, priority=job.priority, **fields)

    def serve(self, worker: Worker) -> None:
        """A new process of the worker."""
        worker.pid += 1
        self.journal(EventKind.SERVING, worker, services=(worker.service,), places=1)

    def journal(self, kind: EventKind, worker: Worker, job: Job | None = None, **fields: Any) -> None:
        about = {"job_id": job.id, "attempt": worker.attempt} if job else {}
        self.add(Source.WORKER, kind, by=worker.id, worker_id=worker.id, pid=worker.pid, **about, **fields)

    def harness(self, kind: EventKind, worker: Worker) -> None:
        self.add(Source.HARNESS, kind, worker_id=worker.id, target=worker.id)

    def log(self, kind: EventKind, job: Job, worker: Worker | None = None, **fields: Any) -> None:
        self._entries += 1
        common = {"job_id": job.id, "worker_id": worker.id if worker else None, "attempt": job.attempt}
        named = {"service": job.service, "priority": job.priority, "entry": f"{self._entries}-0"}
        self.add(Source.REDIS, kind, by="events", **common, **named, **fields)
        if kind not in OWED:
            return
        for subscriber in job.subscribers:
            subscriber.last_ms = max(subscriber.last_ms + 0.01, self.now_ms + self.random.uniform(0.1, 15))
            seen = dict(common)
            of = kind
            if subscriber.legacy:
                seen["attempt"] = 0
                of = EventKind.ATTEMPT_FAILED if kind is EventKind.FAILED else kind
            at_ms = subscriber.last_ms
            self.add(Source.CLIENT, EventKind.DELIVERED, at_ms=at_ms, by=subscriber.name, of=of, **seen, **fields)
