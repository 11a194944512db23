--@include context ready paused
-- count: how many jobs are in each state, in back-off, and ready for each service.
-- Keys: `ready`. Arguments: none.
-- Reply: {pending, claimed, completed, failed, cancelled, delayed, {service, count, …}, {service, unserved since, …},
-- how many of the ready ones have a priority above 0, {paused service, since when, …}}.
-- Invariant: changes nothing; costs the same whatever the number of jobs.
redis.register_function{
  function_name = 'hubgate_count',
  flags = { 'no-writes', 'allow-stale' },
  callback = function(keys)
    local q = open_reader(keys)
    local function card(index) return redis.call('ZCARD', q.prefix .. index) end
    local failed, cancelled = card('failed'), card('cancelled')
    local by_service, services, since, unserved = {}, {}, {}, {}
    local urgent = 0
    for _, group in ipairs(ready_groups(q, 0)) do
      local service = service_of(group)
      by_service[service] = (by_service[service] or 0) + card('ready:' .. group)
      urgent = urgent + redis.call('ZCOUNT', q.prefix .. 'ready:' .. group, '(0', '+inf')
    end
    for service, count in pairs(by_service) do
      if count > 0 then services[#services + 1], services[#services + 2] = service, count end
    end
    local flat = redis.call('HGETALL', q.prefix .. 'unserved')
    for index = 1, #flat, 2 do
      local service, at = service_of(flat[index]), tonumber(flat[index + 1])
      since[service] = math.min(since[service] or at, at)
    end
    for service, at in pairs(since) do unserved[#unserved + 1], unserved[#unserved + 2] = service, string.format('%.0f', at) end
    local paused = {}
    paused_since(q, 'service', '')
    for name, at in pairs(q.paused) do
      local service = string.match(name, '^service (.*)$')
      if service then paused[#paused + 1], paused[#paused + 2] = service, at end
    end
    return {
      pending_count(q), card('leases'), card('ended') - failed - cancelled, failed, cancelled, card('delayed'), services,
      unserved, urgent, paused,
    }
  end,
}
