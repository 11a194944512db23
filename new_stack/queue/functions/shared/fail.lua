--@include job events pending finish
-- Fail a held attempt. Answers 'pending' (it will run again, after its back-off), 'failed' (for good), 'lost' or
-- 'cancelled'; a repeat by the attempt that failed it is answered the same and changes nothing.
local function backoff(q, failures)
  return math.min(q.retry_backoff_ms * 2 ^ (failures - 1), q.retry_backoff_max_ms)
end

local function fail(q, id, attempt, worker_id, reason, retryable)
  local job = read_job(q, id)
  if job and job.failed_attempt == attempt and job.failed_by == worker_id
      and (job.state == 'pending' or job.state == 'failed') then
    return job.state
  end
  if not holds(job, attempt, worker_id) then return refusal(job, attempt) end
  local failures = job.failures + 1
  local noted = {
    'failures', failures, 'failed_by', worker_id, 'failed_attempt', attempt, 'error', reason,
  }
  if not retryable or failures > job.max_retries then
    finish(q, job, 'failed', unpack(noted))
    emit(q, job, 'failed', { 'worker_id', worker_id, 'error', reason })
    return 'failed'
  end
  give_back(q, job, unpack(noted))
  local delay = backoff(q, failures)
  if delay > 0 then
    redis.call('ZADD', q.prefix .. 'jobs:delayed', q.now + delay, id)
  else
    enter_pending(q, job)
    wake(q, 1)
  end
  emit(q, job, 'attempt_failed', { 'worker_id', worker_id, 'error', reason })
  return 'pending'
end
