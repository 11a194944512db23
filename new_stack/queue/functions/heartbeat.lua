--@include context
-- heartbeat: a worker says that it is alive and what it is doing.
-- Keys: `jobs:pending`. Arguments: the terms; worker id; its report (JSON).
-- Reply: 'ok'.
-- Invariant: a worker is alive for heartbeat_ttl_ms after its last word, by Redis's clock.
redis.register_function{
  function_name = 'hubgate_heartbeat',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    local key = q.prefix .. 'worker:' .. args[FIRST]
    redis.call('HSET', key, 'report', args[FIRST + 1], 'seen_at', q.now)
    redis.call('HSETNX', key, 'registered_at', q.now)
    redis.call('SET', key .. ':heartbeat', q.now, 'PX', q.heartbeat_ttl_ms)
    redis.call('SADD', q.prefix .. 'workers:active', args[FIRST])
    return 'ok'
  end,
}
