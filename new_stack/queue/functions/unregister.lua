--@include context
-- unregister: forget a worker that left in order. Its leases, if any, run out by themselves.
-- Keys: `jobs:pending`. Arguments: the terms; worker id.
-- Reply: 'ok'.
-- Invariant: nothing of the worker is left but what its jobs say of it.
redis.register_function{
  function_name = 'hubgate_unregister',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    local key = q.prefix .. 'worker:' .. args[q.first]
    redis.call('SREM', q.prefix .. 'workers:active', args[q.first])
    redis.call('DEL', key, key .. ':heartbeat', key .. ':signals')
    return 'ok'
  end,
}
