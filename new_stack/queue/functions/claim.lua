--@include context claim
-- claim: take ready jobs onto leases, in one step.
-- Keys: `ready`. Arguments: the terms; worker id, class, services (one a line, '*' for all; where matching
-- is on, after an empty line its capabilities as JSON), how many jobs it runs, ms
-- for which it will wait for more (0: it does not wait); how many at most.
-- Reply: for each {id, attempt, service_required, payload, priority, client_id, max_retries, failures, expires_at,
-- '1' where it must run alone, extra, ms that the attempt may take or ''}.
-- Invariant: no job is held by two workers; the order is priority, then first in first out.
local function claimant(args, at)
  return {
    id = args[at], class = args[at + 1], services = args[at + 2], running = tonumber(args[at + 3]),
    wait_ms = tonumber(args[at + 4]),
  }
end

redis.register_function{
  function_name = 'hubgate_claim',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    return claim(q, claimant(args, q.first), tonumber(args[q.first + 5]))
  end,
}
