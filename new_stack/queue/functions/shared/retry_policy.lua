-- How soon, and after which errors, a failed job runs again: by its own policy, else as the queue has it.
local NO_POLICY = {}

-- The pause before the next attempt: grows with each failure up to a cap. Its jitter comes from the job's id and the
-- number of the failure, so that a repeat finds the same.
local function backoff(q, job)
  local policy = job.retry_policy or NO_POLICY
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

-- Whether the job's own policy lets it run again after its error, so much later: nothing said is yes.
local function may_run_again(q, job, pause)
  if job.deadline_at and q.now + pause >= job.deadline_at then
    job.error = job.error .. ' (and its deadline is before the next attempt)'
    return false
  end
  local wanted = job.retry_policy and job.retry_policy.retry_on
  if not wanted then return true end
  for _, one in ipairs(wanted) do
    if one == job.error_type or is_like(job.error, one) or string.sub(job.error, 1, #one + 1) == one .. ':' then
      return true
    end
  end
  return false
end
