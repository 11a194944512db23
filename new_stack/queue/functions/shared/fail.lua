--@include record finish
-- Fail a held attempt. Answers 'pending' (it will run again, after its back-off), 'failed' (for good), 'lost' or
-- 'cancelled'; a repeat by the attempt that failed it is answered the same and changes nothing.
local NO_POLICY = {}

-- The pause before the next attempt: grows with each failure up to a cap. Its jitter comes from the job's id and the
-- number of the failure, so that a repeat finds the same.
local function backoff(q, job)
  local policy = job.policy or NO_POLICY
  local first, factor = policy.backoff_base_ms or q.retry_backoff_ms, policy.backoff_factor or 2
  local delay = math.min(first * factor ^ (job.failures - 1), policy.backoff_cap_ms or q.retry_backoff_max_ms)
  if policy.backoff_jitter then
    local chance = tonumber(string.sub(redis.sha1hex(job.id .. ' ' .. job.failures), 1, 8), 16) / 2 ^ 32
    delay = delay * (1 + policy.backoff_jitter * (2 * chance - 1))
  end
  return math.floor(delay)
end

-- Whether a text is like a pattern, in which `*` stands for anything. Each piece is looked for once, from left to right.
local function is_like(text, pattern)
  local pieces, at = {}, 1
  for piece in string.gmatch(pattern .. '*', '(.-)%*') do pieces[#pieces + 1] = piece end
  for index, piece in ipairs(pieces) do
    local from, to = string.find(text, piece, at, true)
    if index == #pieces then from, to = #text - #piece + 1, #text end
    if not from or from < at or (index == 1 and from ~= 1) or string.sub(text, from, to) ~= piece then return false end
    at = to + 1
  end
  return true
end

-- Whether the job's own policy lets it run again after this error: nothing said is yes.
local function may_run_again(job, reason, kind)
  local wanted = job.policy and job.policy.retry_on
  if not wanted then return true end
  for _, one in ipairs(wanted) do
    if one == kind or is_like(reason, one) or string.sub(reason, 1, #one + 1) == one .. ':' then return true end
  end
  return false
end

local function fail(q, id, attempt, worker_id, reason, retryable, kind, trace)
  local job = read_job(q, id)
  if job and job.failed_attempt == attempt and job.failed_by == worker_id
      and (job.state == 'pending' or job.state == 'failed') then
    return job.state
  end
  if not may_end(job, attempt, worker_id) then return refusal(job, attempt) end
  job.worker_id = worker_id
  job.failures, job.failed_by, job.failed_attempt = job.failures + 1, worker_id, attempt
  job.error_type, job.traceback = kind ~= '' and kind or nil, trace ~= '' and trace or nil
  local delay = backoff(q, job)
  retryable = retryable and may_run_again(job, reason, kind)
  if job.deadline_at and q.now + delay >= job.deadline_at then
    retryable, reason = false, reason .. ' (and its deadline is before the next attempt)'
  end
  if not retryable or job.failures > job.max_retries then
    job.error = reason
    finish(q, job, 'failed')
    return 'failed'
  end
  open_stream(q, job)
  if not leave_ready(q, job) then give_back(q, job) end
  job.error, job.worker_id, job.lost_by = reason, nil, nil
  if delay > 0 then
    redis.call('ZADD', q.prefix .. 'delayed', q.now + delay, id)
  else
    make_ready(q, job)
  end
  emit(q, job, 'attempt_failed', said_of_failure(job, worker_id, reason))
  save_job(q, job)
  return 'pending'
end
