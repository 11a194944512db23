--@include context job
-- count: how many jobs are in each state, waiting for a retry, and in the line for each service.
-- Keys: `jobs:pending`. Arguments: none.
-- Reply: {pending, claimed, completed, failed, cancelled, delayed, {service, count, …}}.
-- Invariant: changes nothing; costs the same whatever the number of jobs.
redis.register_function{
  function_name = 'hubgate_count',
  flags = { 'no-writes', 'allow-stale' },
  callback = function(keys)
    local q = open_reader(keys)
    local reply = {}
    for index, state in ipairs(STATES) do
      reply[index] = redis.call('ZCARD', q.prefix .. 'jobs:state:' .. state)
    end
    reply[#reply + 1] = redis.call('ZCARD', q.prefix .. 'jobs:delayed')
    reply[#reply + 1] = redis.call('HGETALL', q.prefix .. 'jobs:services')
    return reply
  end,
}
