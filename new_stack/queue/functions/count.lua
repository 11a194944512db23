--@include context ready paused unserved
-- count: how many jobs are in each state, in back-off, and ready for each service.
-- Keys: `ready`. Arguments: none.
-- Reply: {pending, claimed, completed, failed, cancelled, delayed, {service, count, …}, what nobody takes (see unserved),
-- how many of the ready ones have a priority above 0, {paused service, since when, …}}.
-- Invariant: changes nothing; costs the same whatever the number of jobs.
reads('count', function(q)
  q.now = clock()
  local function card(index) return redis.call('ZCARD', q.prefix .. index) end
  local failed, cancelled = card('failed'), card('cancelled')
  local by_service, services, urgent = {}, {}, 0
  for _, group in ipairs(ready_groups(q, 0)) do
    local service = service_of(group)
    by_service[service] = (by_service[service] or 0) + card('ready:' .. group)
    urgent = urgent + redis.call('ZCOUNT', q.prefix .. 'ready:' .. group, '(0', '+inf')
  end
  for service, count in pairs(by_service) do
    if count > 0 then services[#services + 1], services[#services + 2] = service, count end
  end
  return {
    pending_count(q), card('leases'), card('ended') - failed - cancelled, failed, cancelled, card('delayed'), services,
    unserved_services(q), urgent, paused_services(q),
  }
end)
