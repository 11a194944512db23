"""Mistakes with the line: in which order jobs are taken, by how many, and whether anybody is woken."""

from __future__ import annotations

from typing import Final

from harness.defects.defect import Defect, edit

DEFECTS: Final = (
    Defect(
        name="last-in-first-out",
        mistake="The sequence number is added to the score where it has to be taken off: the newest job goes first.",
        caught_by=("mixed-clients", "nothing-lost", "legacy-clients"),
        checks=("out_of_order",),
        replacements=(
            edit(
                "queue/functions/shared/line.lua",
                "job.priority * PRIORITY_STEP - job.sequence",
                "job.priority * PRIORITY_STEP + job.sequence",
            ),
        ),
    ),
    Defect(
        name="priority-ignored",
        mistake="The line is kept by age alone.",
        caught_by=("mixed-clients", "nothing-lost", "legacy-clients"),
        checks=("out_of_order",),
        replacements=(
            edit(
                "queue/functions/shared/line.lua",
                "return job.priority * PRIORITY_STEP - job.sequence",
                "return -job.sequence",
            ),
        ),
    ),
    Defect(
        name="score-is-a-clock",
        mistake="Score = priority x 1000 + clock, read from the high end: newest first, a priority point is a second.",
        caught_by=("mixed-clients", "nothing-lost", "legacy-clients"),
        checks=("out_of_order",),
        replacements=(
            edit(
                "queue/functions/shared/line.lua",
                "  return job.priority * PRIORITY_STEP - job.sequence\n",
                "  local time = redis.call('TIME')\n"
                "  return job.priority * 1000 + time[1] * 1000 + math.floor(time[2] / 1000)\n",
            ),
        ),
    ),
    Defect(
        name="requeued-at-the-back",
        mistake="A job whose worker was lost, or that was handed back, goes to the end of the line.",
        caught_by=("mixed-clients", "nothing-lost"),
        checks=("out_of_order",),
        replacements=(
            edit(
                "queue/functions/shared/expire.lua",
                "  enter_line(q, job)\n",
                "  job.sequence = redis.call('INCR', q.prefix .. 'jobs:sequence')\n  enter_line(q, job)\n",
            ),
            edit(
                "queue/functions/shared/release.lua",
                "  enter_line(q, job)\n",
                "  job.sequence = redis.call('INCR', q.prefix .. 'jobs:sequence')\n  enter_line(q, job)\n",
            ),
        ),
    ),
    Defect(
        name="position-off-by-one",
        mistake="The place in the line counts from 0 where clients are told 1.",
        caught_by=("legacy-clients",),
        replacements=(edit("queue/functions/shared/line.lua", "return rank and rank + 1 or 0", "return rank or 0"),),
    ),
    Defect(
        name="nobody-is-woken",
        mistake="A submission wakes no worker: each finds the job when it polls.",
        caught_by=("claims",),
        replacements=(edit("queue/functions/submit.lua", "  wake(q, created)\n", ""),),
    ),
    Defect(
        name="claimed-by-many",
        mistake="A job leaves the line when it ends, not when it is claimed: meanwhile others claim it as well.",
        caught_by=("mixed-clients", "no-conflicts", "nothing-lost"),
        checks=("held_by_two",),
        replacements=(
            edit("queue/functions/shared/claim.lua", "local function hold(q, job, worker_id)\n  leave_line(q, job)\n",
                 "local function hold(q, job, worker_id)\n"),
            edit("queue/functions/shared/claim.lua", "if not job or job.state ~= 'pending' then",
                 "if not job or (job.state ~= 'pending' and job.state ~= 'claimed') then"),
            edit("queue/functions/shared/ending.lua",
                 "local function finish(q, job, state, ...)\n",
                 "local function finish(q, job, state, ...)\n"
                 "  redis.call('ZREM', q.prefix .. 'jobs:pending', job.id)\n"
                 "  redis.call('ZREM', q.prefix .. 'jobs:pending:' .. job.service_required, job.id)\n"),
        ),
    ),
    Defect(
        name="submitted-again-runs-again",
        mistake="A submission repeated under its id (its answer was lost) is queued anew.",
        caught_by=("mixed-clients", "restarts", "legacy-clients", "modern-clients"),
        checks=("ended_twice",),
        replacements=(
            edit("queue/functions/submit.lua", "  if known then return known end\n",
                 "  if known and known[1] == 'conflict' then return known end\n"),
        ),
    ),
)  # fmt: skip
