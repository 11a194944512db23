--@include context
-- Whether a worker other than this one is alive (its heartbeat has not run out).
local function another_is_alive(q, worker_id)
  for _, other in ipairs(redis.call('SMEMBERS', q.prefix .. 'workers:active')) do
    if other ~= worker_id and redis.call('EXISTS', q.prefix .. 'worker:' .. other .. ':heartbeat') == 1 then
      return true
    end
  end
  return false
end

-- A worker says that it is alive and what it is doing.
local function beat(q, worker_id, report)
  local key = q.prefix .. 'worker:' .. worker_id
  redis.call('HSET', key, 'report', report, 'seen_at', q.now)
  redis.call('HSETNX', key, 'registered_at', q.now)
  redis.call('SET', key .. ':heartbeat', q.now, 'PX', q.heartbeat_ttl_ms)
  redis.call('SADD', q.prefix .. 'workers:active', worker_id)
end
