--@include context job events pending finish expire
-- reap: what the clock alone brings about. Anyone may call it, at any time, any number at once.
-- Keys: `jobs:pending`. Arguments: the terms; how many of each kind at most.
-- Reply: {ids of jobs put back or given up, '1' if there may be more to do}.
-- Invariant: a job whose lease ran out is back in its old place (or failed for good after too many lost workers).
local function forget_ended(q, limit)
  local due = redis.call('ZRANGEBYSCORE', q.prefix .. 'jobs:expiring', '-inf', q.now, 'LIMIT', 0, limit)
  for _, id in ipairs(due) do
    redis.call('DEL', q.prefix .. 'job:' .. id, q.prefix .. 'progress:' .. id)
    redis.call('ZREM', q.prefix .. 'jobs:expiring', id)
    for _, state in ipairs({ 'completed', 'failed', 'cancelled' }) do
      redis.call('ZREM', q.prefix .. 'jobs:state:' .. state, id)
    end
  end
  return #due == limit
end

local function forget_workers(q)
  for _, id in ipairs(redis.call('SMEMBERS', q.prefix .. 'workers:active')) do
    local key = q.prefix .. 'worker:' .. id
    local seen_at = tonumber(redis.call('HGET', key, 'seen_at') or 0)
    if seen_at + q.forget_worker_ms < q.now and redis.call('EXISTS', key .. ':heartbeat') == 0 then
      redis.call('SREM', q.prefix .. 'workers:active', id)
      redis.call('DEL', key, key .. ':signals')
    end
  end
end

redis.register_function{
  function_name = 'hubgate_reap',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    local limit = tonumber(args[q.first])
    local reaped, more = expire_leases(q, limit)
    more = promote(q, limit) == limit or more
    more = forget_ended(q, limit) or more
    forget_workers(q)
    return { reaped, more and '1' or '0' }
  end,
}
