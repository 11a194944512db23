--@include job events pending workers
-- Claim up to `count` jobs: highest priority first, then oldest. Each leaves the line and goes onto a lease in this
-- one step, under a new attempt number. Passed over, without hiding those behind them: jobs that this worker was the
-- last to fail, while another worker is alive. Taken out of the line: records that are missing or malformed.
local CLAIM_PAGE = 100
local CLAIM_INSPECTED = 5000

local function hold(q, job, worker_id)
  leave_pending(q, job)
  job.attempt = job.attempt + 1
  local key = q.prefix .. 'job:' .. job.id
  local expires_at = q.now + q.lease_ms
  redis.call('ZADD', q.prefix .. 'jobs:leases', expires_at, job.id)
  redis.call('HSET', key, 'state', 'claimed', 'attempt', job.attempt, 'worker_id', worker_id, 'claimed_at', q.now)
  if job.attempt > 1 then redis.call('HDEL', key, 'progress', 'status_message') end
  change_state(q, job, 'claimed')
  emit(q, job, 'claimed', { 'worker_id', worker_id })
  local content = redis.call('HMGET', key, 'payload', 'extra')
  return {
    job.id, job.attempt, job.service_required, content[1] or '{}', job.priority,
    job.client_id, job.max_retries, job.failures, expires_at, content[2] or '',
  }
end

-- A record that no rule can work with must not stop the line: it leaves it, is listed in `jobs:malformed`, and its
-- followers hear that it failed. Which service's line it stood in is not known any more, so all are looked through.
local function set_aside(q, id, why)
  redis.call('ZREM', q.prefix .. 'jobs:pending', id)
  redis.call('ZREM', q.prefix .. 'jobs:state:pending', id)
  for _, service in ipairs(redis.call('HKEYS', q.prefix .. 'jobs:services')) do
    if redis.call('ZREM', q.prefix .. 'jobs:pending:' .. service, id) == 1
        and redis.call('HINCRBY', q.prefix .. 'jobs:services', service, -1) <= 0 then
      redis.call('HDEL', q.prefix .. 'jobs:services', service)
    end
  end
  if why ~= 'malformed' then return end
  redis.call('SADD', q.prefix .. 'jobs:malformed', id)
  local reason = 'its record in Redis is malformed'
  redis.call('ZADD', q.prefix .. 'jobs:expiring', q.now + q.finished_ttl_ms, id)
  redis.pcall('HSET', q.prefix .. 'job:' .. id, 'state', 'failed', 'error', reason, 'ended_at', q.now)
  local unknown = { id = id, service_required = 'unknown', priority = 0, attempt = 0, client_id = '' }
  emit(q, unknown, 'failed', { 'error', reason })
end

local function claim(q, worker_id, count)
  local leases = {}
  local passed = 0
  local inspected = 0
  local others = nil
  promote(q, CLAIM_PAGE)
  while #leases < count and inspected < CLAIM_INSPECTED do
    local wanted = passed == 0 and count - #leases or CLAIM_PAGE
    local ids = redis.call('ZRANGE', q.prefix .. 'jobs:pending', passed, passed + wanted - 1, 'REV')
    if #ids == 0 then break end
    for _, id in ipairs(ids) do
      if #leases == count then break end
      inspected = inspected + 1
      local job, why = read_job(q, id)
      if not job or job.state ~= 'pending' then
        set_aside(q, id, why)
      else
        if job.failed_by == worker_id and others == nil then others = another_is_alive(q, worker_id) end
        if job.failed_by == worker_id and others then
          passed = passed + 1
        else
          leases[#leases + 1] = hold(q, job, worker_id)
        end
      end
    end
  end
  settle_wake(q)
  return leases
end
