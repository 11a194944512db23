--@include job
-- How a job ends, whoever ends it: off its lease, into the index of its last state, and due to be forgotten.
local function finish(q, job, state, ...)
  redis.call('ZREM', q.prefix .. 'jobs:leases', job.id)
  redis.call('ZADD', q.prefix .. 'jobs:expiring', q.now + q.finished_ttl_ms, job.id)
  redis.call('HSET', q.prefix .. 'job:' .. job.id, 'state', state, 'ended_at', q.now, ...)
  change_state(q, job, state)
end

-- Off its lease and back to pending; the caller puts it in the line or behind a delay.
local function give_back(q, job, ...)
  redis.call('ZREM', q.prefix .. 'jobs:leases', job.id)
  redis.call('HSET', q.prefix .. 'job:' .. job.id, 'state', 'pending', 'worker_id', '', ...)
  change_state(q, job, 'pending')
end
