--@include context complete fail release claim
-- end_and_claim: end held jobs, then claim next ones, in one step.
-- Keys: `ready`. Arguments: the terms; worker id, class, services (one a line, '*' for all; where matching is on, after
-- an empty line its capabilities as JSON), how many jobs it runs besides, ms for which it will wait for more (0: it does
-- not wait); how many to claim; the number of ends; for each:
-- 'complete'|'fail'|'release', job id, attempt, holder's worker id, result or error, '1' if it may run again, the
-- failure's type and traceback.
-- Reply: {for each end 'completed'|'failed'|'pending'|'lost'|'cancelled'; for each job claimed {id, attempt,
-- service_required, payload, priority, client_id, max_retries, failures, expires_at, '1' where it must run alone, extra,
-- ms that the attempt may take or ''}}.
-- Invariant: only the newest attempt ends a job, and it ends once; no job is held by two workers; the order is priority,
-- then first in first out. Runs when Redis is out of memory: ends make room.
local function end_one(q, kind, id, attempt, worker_id, body, retryable, error_type, trace)
  if kind == 'complete' then return complete(q, id, attempt, worker_id, body) end
  if kind == 'fail' then return fail(q, id, attempt, worker_id, body, retryable == '1', error_type, trace) end
  return release(q, id, attempt, worker_id)
end

changes('end_and_claim', function(q, args)
  local worker = {
    id = args[1], class = args[2], services = args[3],
    running = tonumber(args[4]), wait_ms = tonumber(args[5]),
  }
  local ends, count, number = {}, tonumber(args[6]), tonumber(args[7])
  for index = 1, number do
    local at = index * 8
    local kind, id, attempt, worker_id, body, again, error_type, trace = unpack(args, at, at + 7)
    ends[index] = end_one(q, kind, id, tonumber(attempt), worker_id, body, again, error_type, trace)
  end
  local leases = count > 0 and claim(q, worker, count) or {}
  return { ends, leases }
end)
