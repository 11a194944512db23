--@include context job pending
-- position: a job's place in the line of its service.
-- Keys: `jobs:pending`. Arguments: job id.
-- Reply: 1-based, 0 where it does not stand in the line.
-- Invariant: changes nothing; O(log n).
redis.register_function{
  function_name = 'hubgate_position',
  flags = { 'no-writes', 'allow-stale' },
  callback = function(keys, args)
    local q = open_reader(keys)
    local service = redis.call('HGET', q.prefix .. 'job:' .. args[1], 'service_required')
    return service and position(q, args[1], service) or 0
  end,
}
