"""Mistakes with leases, retries, ends and cancellations."""

from __future__ import annotations

from typing import Final

from harness.defects.defect import Defect, edit

DEFECTS: Final = (
    Defect(
        name="claim-in-two-steps",
        mistake="A claim takes the job off the line; its lease begins when it is renewed: a crash between loses it.",
        caught_by=("mixed-clients", "nothing-lost", "recovery"),
        checks=("lost", "recovery"),
        replacements=(
            edit("queue/functions/shared/claim.lua",
                 "  redis.call('ZADD', q.prefix .. 'jobs:leases', expires_at, job.id)\n", ""),
            edit("queue/functions/renew.lua", "'jobs:leases', 'XX', q.now", "'jobs:leases', q.now"),
        ),
    ),
    Defect(
        name="no-reaper",
        mistake="Nobody looks for leases that ran out: a killed worker's job stays claimed for ever.",
        caught_by=("mixed-clients", "nothing-lost", "recovery"),
        checks=("lost", "recovery"),
        replacements=(
            edit("queue/functions/shared/expire.lua",
                 "  local due = redis.call('ZRANGEBYSCORE', q.prefix .. 'jobs:leases', '-inf', q.now, "
                 "'LIMIT', 0, limit)\n",
                 "  local due = {}\n"),
        ),
    ),
    Defect(
        name="lease-never-renewed",
        mistake="A worker does not renew its leases: a job longer than one lease is taken from it and run again.",
        caught_by=("mixed-clients", "nothing-lost"),
        checks=("taken_without_cause",),
        replacements=(
            edit("worker/pulse.py", "        leases = self._hands.leases\n", "        leases = ()\n"),
            edit("queue/functions/progress.lua",
                 "  redis.call('ZADD', q.prefix .. 'jobs:leases', 'XX', q.now + q.lease_ms, id)\n", ""),
        ),
    ),
    Defect(
        name="fence-left-open",
        mistake="Progress and ends are accepted from any worker while the job is claimed, whatever their attempt.",
        caught_by=("mixed-clients", "nothing-lost"),
        checks=("held_by_two",),
        replacements=(
            edit("queue/functions/shared/job.lua",
                 "return job and job.state == 'claimed' and job.attempt == attempt and job.worker_id == worker_id",
                 "if job and job.state == 'claimed' then job.attempt, job.worker_id = attempt, worker_id end\n"
                 "  return job and job.state == 'claimed'"),
        ),
    ),
    Defect(
        name="retried-without-limit",
        mistake="A job that fails is tried again for ever.",
        caught_by=("mixed-clients", "legacy-clients", "nothing-lost"),
        checks=("retries",),
        replacements=(
            edit("queue/functions/shared/fail.lua", "if not retryable or failures > job.max_retries then",
                 "if not retryable then"),
        ),
    ),
    Defect(
        name="retry-counted-twice",
        mistake="Each failure counts twice against the limit: the worker counts it, and so does the queue.",
        caught_by=("mixed-clients", "legacy-clients", "nothing-lost"),
        checks=("retries",),
        replacements=(
            edit("queue/functions/shared/fail.lua", "local failures = job.failures + 1",
                 "local failures = job.failures + 2"),
        ),
    ),
    Defect(
        name="retried-where-it-failed",
        mistake="A failed job goes straight back to the worker that failed it.",
        caught_by=("mixed-clients", "legacy-clients", "nothing-lost"),
        checks=("retries",),
        replacements=(
            edit("queue/functions/shared/claim.lua", "if job.failed_by == worker_id and others then", "if false then"),
        ),
    ),
    Defect(
        name="retried-at-once",
        mistake="A failed job is tried again without any delay.",
        caught_by=("mixed-clients", "nothing-lost"),
        checks=("retries",),
        replacements=(
            edit("queue/functions/shared/fail.lua", "local delay = backoff(q, failures)", "local delay = 0"),
        ),
    ),
    Defect(
        name="every-failure-is-final",
        mistake="`failed` is announced at every attempt, also where another follows.",
        caught_by=("mixed-clients", "modern-clients", "nothing-lost"),
        checks=("retries",),
        replacements=(
            edit("queue/functions/shared/fail.lua", "emit(q, job, 'attempt_failed',", "emit(q, job, 'failed',"),
        ),
    ),
    Defect(
        name="sigterm-fails-the-job",
        mistake="A worker that is told to stop fails the job it has in hand, for good.",
        caught_by=("mixed-clients", "nothing-lost"),
        checks=("ended_otherwise",),
        replacements=(
            edit("worker/attempt.py", "return self._verdict or Released(lease=self.lease)",
                 'return self._verdict or self._failed("the worker was stopped", retryable=False)'),
        ),
    ),
    Defect(
        name="failure-stored-as-success",
        mistake="A connector's `success: false` is stored as a completed job, so no retry ever follows.",
        caught_by=("mixed-clients", "modern-clients", "nothing-lost"),
        checks=("ended_otherwise",),
        replacements=(
            edit("worker/attempt.py", "        complaint = failure_in(result)\n        if complaint is not None:\n",
                 "        complaint = failure_in(result)\n        if complaint is not None and result is None:\n"),
        ),
    ),
    Defect(
        name="error-text-lost",
        mistake="The text of an error is neither told nor stored.",
        caught_by=("legacy-clients", "modern-clients"),
        replacements=(
            edit("queue/functions/shared/fail.lua", "  local failures = job.failures + 1\n",
                 "  local failures = job.failures + 1\n  reason = ''\n"),
        ),
    ),
    Defect(
        name="late-completion-overwrites-cancel",
        mistake="A completion that comes after the cancel turns the cancelled job into a completed one.",
        caught_by=("mixed-clients", "legacy-clients", "nothing-lost"),
        checks=("ended_twice",),
        replacements=(
            edit("queue/functions/shared/complete.lua",
                 "  if not holds(job, attempt, worker_id) then return refusal(job, attempt) end\n",
                 "  if not job or job.attempt ~= attempt then return refusal(job, attempt) end\n"),
            edit("worker/attempt.py", "        if self._over or self.task is None:\n",
                 "        if self._over or self.task is None or reason is Stop.CANCELLED:\n"),
        ),
    ),
    Defect(
        name="cancel-ignored-by-the-worker",
        mistake="A worker that is told of a cancel goes on to the end of the job, for nothing.",
        caught_by=("mixed-clients", "nothing-lost"),
        checks=("cancel_ignored",),
        replacements=(
            edit("worker/attempt.py", "        if self._over or self.task is None:\n",
                 "        if self._over or self.task is None or reason is Stop.CANCELLED:\n"),
        ),
    ),
    Defect(
        name="cancelled-job-runs-on",
        mistake="A cancel marks the job and no more: its lease lives, its progress is accepted and told.",
        caught_by=("mixed-clients", "legacy-clients", "nothing-lost"),
        checks=("started_after_cancel",),
        replacements=(
            edit("queue/functions/shared/job.lua", "return job and job.state == 'claimed' and job.attempt == attempt",
                 "return job and (job.state == 'claimed' or job.state == 'cancelled') and job.attempt == attempt"),
            edit("queue/functions/cancel.lua", "        signal(q, job)\n", ""),
        ),
    ),
    Defect(
        name="cancel-means-failed",
        mistake="A cancelled job is stored and told as a failed one.",
        caught_by=("legacy-clients", "mixed-clients"),
        checks=("ended_otherwise",),
        replacements=(
            edit("queue/functions/cancel.lua", "finish(q, job, 'cancelled', 'cancel_reason', reason)",
                 "finish(q, job, 'failed', 'error', reason)"),
            edit("queue/functions/cancel.lua", "emit(q, job, 'cancelled', worker)", "emit(q, job, 'failed', worker)"),
        ),
    ),
    Defect(
        name="payload-left-behind",
        mistake="A claim brings the job's id and type, but not its payload: every worker runs the default.",
        caught_by=("mixed-clients", "modern-clients", "nothing-lost"),
        checks=("steps",),
        replacements=(
            edit("queue/functions/shared/claim.lua", "redis.call('HGET', key, 'payload') or '{}'", "'{}'"),
        ),
    ),
)  # fmt: skip
