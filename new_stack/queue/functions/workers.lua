--@include context
-- workers: every worker that has not been forgotten.
-- Keys: `jobs:pending`. Arguments: none.
-- Reply: for each {id, report (JSON), registered_at, seen_at, '1' if alive}.
-- Invariant: changes nothing.
redis.register_function{
  function_name = 'hubgate_workers',
  flags = { 'no-writes', 'allow-stale' },
  callback = function(keys)
    local q = open_reader(keys)
    local replies = {}
    for _, id in ipairs(redis.call('SMEMBERS', q.prefix .. 'workers:active')) do
      local key = q.prefix .. 'worker:' .. id
      local known = redis.call('HMGET', key, 'report', 'registered_at', 'seen_at')
      if known[1] then
        replies[#replies + 1] = {
          id, known[1], known[2], known[3], tostring(redis.call('EXISTS', key .. ':heartbeat')),
        }
      end
    end
    return replies
  end,
}
