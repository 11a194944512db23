--@include context job events pending workers claim
-- claim: take jobs off the line and onto leases, in one step.
-- Keys: `jobs:pending`. Arguments: the terms; worker id; how many at most.
-- Reply: for each {id, attempt, service_required, payload, priority, client_id, max_retries, failures, expires_at}.
-- Invariant: no job is held by two workers; the order is priority, then first in first out.
redis.register_function('hubgate_claim', function(keys, args)
  local q = open(keys, args)
  return claim(q, args[q.first], tonumber(args[q.first + 1]))
end)
