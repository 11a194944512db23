--@include context ready paused unserved
-- count: how many jobs are in each state, in back-off, and ready for each service.
-- Keys: `ready`. Arguments: none.
-- Reply: the names of QueueCounts and what is counted, in turns: a number; services and numbers in turns (how many jobs
-- are ready; since when it is paused); what nobody takes (see unserved).
-- Invariant: changes nothing; costs the same whatever the number of jobs.
reads('count', function(q)
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
    'pending', pending_count(q), 'claimed', card('leases'), 'completed', card('ended') - failed - cancelled,
    'failed', failed, 'cancelled', cancelled, 'delayed', card('delayed'), 'by_service', services,
    'untaken', unserved_services(q), 'urgent', urgent, 'paused', paused_services(q),
  }
end)
