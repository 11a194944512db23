--@include context record events ready wake deadline tally
-- How a job ends, whoever ends it: off its lease, listed by when it ended, and due to be forgotten.
local function finish(q, job, state)
  -- Its worker ends it: the one that holds it, or whose lease ran out while nobody else has claimed it.
  local ran = job.state == 'claimed' or (job.lost_by and job.lost_by == job.worker_id)
  tally(q, job.service_required, ENDED[state], ran and q.now - job.claimed_at)
  local pending = job.state == 'pending'
  if pending and not leave_ready(q, job) then redis.call('ZREM', q.prefix .. 'delayed', job.id) end
  if job.deadline_at then redis.call('ZREM', q.prefix .. 'deadlines', job.id) end
  -- Few end so among many: an index of their own keeps their listing short.
  if state ~= 'completed' then redis.call('ZADD', q.prefix .. state, job.sequence, job.id) end
  job.state, job.ended_at, job.lost_by = state, q.now, nil
  emit(q, job, state, said_of_end(q, job))
  save_job(q, job)
  if not pending then gather(q, 'ZREM', 'leases', job.id) end
  gather(q, 'ZADD', 'ended', q.now, job.id)
end

-- Off its lease and back to pending. The caller says what happened, puts the job somewhere, and saves it.
local function give_back(q, job)
  open_stream(q, job)
  redis.call('ZREM', q.prefix .. 'leases', job.id)
  job.state, job.worker_id = 'pending', nil
end

-- Ready to be claimed; the caller saves it. A failed job is offered to another worker than the one that failed it.
local function make_ready(q, job)
  enter_ready(q, job)
  local woken = wake(q, group_of(job), 1, job.failed_by)
  job.offered_to = job.failed_by and woken
end

-- Off its lease and ready again, at its old place: `kind` is the event that says why. Answers its new state.
local function hand_back(q, job, kind)
  local worker_id = job.worker_id or ''
  give_back(q, job)
  if kind == 'lease_expired' then job.lost_by = worker_id end
  make_ready(q, job)
  emit(q, job, kind, { 'worker_id', worker_id })
  save_job(q, job)
  return job.state
end
