--@include context workers
-- heartbeat: a worker says that it is alive and what it is doing.
-- Keys: `jobs:pending`. Arguments: the terms; worker id; its report (JSON).
-- Reply: 'ok'.
-- Invariant: a worker is alive for heartbeat_ttl_ms after its last word, by Redis's clock.
redis.register_function{
  function_name = 'hubgate_heartbeat',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    beat(q, args[q.first], args[q.first + 1])
    return 'ok'
  end,
}
