--@include context job
-- The line of jobs that may be claimed: `jobs:pending`, `jobs:pending:{service}` (for positions), `jobs:services`
-- (how many of each), and the wake list. Score = priority * 2^40 - sequence, exact in a double; highest first.
local PRIORITY_STEP = 1099511627776
local WAKE_LIMIT = 1024

local function score(job)
  return job.priority * PRIORITY_STEP - job.sequence
end

local function enter_pending(q, job)
  redis.call('ZADD', q.prefix .. 'jobs:pending', score(job), job.id)
  redis.call('ZADD', q.prefix .. 'jobs:pending:' .. job.service_required, score(job), job.id)
  redis.call('HINCRBY', q.prefix .. 'jobs:services', job.service_required, 1)
end

-- Take the job off the line; whether it stood in it.
local function leave_pending(q, job)
  if redis.call('ZREM', q.prefix .. 'jobs:pending', job.id) == 0 then return false end
  redis.call('ZREM', q.prefix .. 'jobs:pending:' .. job.service_required, job.id)
  if redis.call('HINCRBY', q.prefix .. 'jobs:services', job.service_required, -1) <= 0 then
    redis.call('HDEL', q.prefix .. 'jobs:services', job.service_required)
  end
  return true
end

-- 1-based among the pending jobs of its service, 0 where it does not stand in the line.
local function position(q, id, service)
  local rank = redis.call('ZREVRANK', q.prefix .. 'jobs:pending:' .. service, id)
  return rank and rank + 1 or 0
end

-- Wake up to `count` waiting workers: never more tokens than jobs in the line.
local function wake(q, count)
  local list = q.prefix .. 'jobs:wake'
  local pending = redis.call('ZCARD', q.prefix .. 'jobs:pending')
  local room = math.min(pending, WAKE_LIMIT) - redis.call('LLEN', list)
  for _ = 1, math.min(room, count) do
    redis.call('RPUSH', list, '1')
  end
end

-- Take back the tokens of jobs that somebody claimed without one.
local function settle_wake(q)
  local list = q.prefix .. 'jobs:wake'
  local tokens = redis.call('LLEN', list)
  if tokens == 0 then return end
  local pending = redis.call('ZCARD', q.prefix .. 'jobs:pending')
  if pending == 0 then
    redis.call('DEL', list)
  elseif tokens > pending then
    redis.call('LTRIM', list, 0, pending - 1)
  end
end

-- Put up to `limit` failed jobs whose back-off is over back in their old places; how many.
local function promote(q, limit)
  local due = redis.call('ZRANGEBYSCORE', q.prefix .. 'jobs:delayed', '-inf', q.now, 'LIMIT', 0, limit)
  for _, id in ipairs(due) do
    redis.call('ZREM', q.prefix .. 'jobs:delayed', id)
    local job = read_job(q, id)
    if job and job.state == 'pending' then enter_pending(q, job) end
  end
  if #due > 0 then wake(q, #due) end
  return #due
end
