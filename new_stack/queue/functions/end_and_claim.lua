--@include context job events pending finish complete fail release workers claim
-- end_and_claim: end held jobs, then claim next ones, in one step.
-- Keys: `jobs:pending`. Arguments: the terms; worker id; how many to claim; the number of ends; for each:
-- 'complete'|'fail'|'release', job id, attempt, holder's worker id, result or error, '1' if it may run again.
-- Reply: {for each end 'completed'|'failed'|'pending'|'lost'|'cancelled', the leases as in claim}.
-- Invariant: only the newest attempt's holder ends a job, and it ends once.
local function end_one(q, kind, id, attempt, worker_id, body, retryable)
  if kind == 'complete' then return complete(q, id, attempt, worker_id, body) end
  if kind == 'fail' then return fail(q, id, attempt, worker_id, body, retryable == '1') end
  return release(q, id, attempt, worker_id)
end

redis.register_function('hubgate_end_and_claim', function(keys, args)
  local q = open(keys, args)
  local ends = {}
  for index = 1, tonumber(args[q.first + 2]) do
    local at = q.first + 3 + (index - 1) * 6
    ends[index] = end_one(q, args[at], args[at + 1], tonumber(args[at + 2]), args[at + 3], args[at + 4], args[at + 5])
  end
  local count = tonumber(args[q.first + 1])
  return { ends, count > 0 and claim(q, args[q.first], count) or {} }
end)
