--@include context record
-- Deadlines: a job that has one is in `deadlines`, by the ms when it has to be done. Whoever reaps fails what is pending
-- beyond that; a running one is stopped by its worker, whose lease tells it how long it may take.
local DEADLINE_PASSED = 'its deadline passed before it was done'

local function set_deadline(q, job)
  local within = job.retry_policy and job.retry_policy.deadline_ms
  if not within then return end
  job.deadline_at = q.now + within
  redis.call('ZADD', q.prefix .. 'deadlines', job.deadline_at, job.id)
end

-- How long an attempt that begins now may take, in ms; '' where the job says nothing of it.
local function attempt_ms(q, job)
  local limit = job.retry_policy and job.retry_policy.timeout_ms
  if job.deadline_at then limit = math.max(1, math.min(limit or math.huge, job.deadline_at - q.now)) end
  return limit or ''
end
