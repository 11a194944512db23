--@include context expire
-- renew: keep leases for another term.
-- Keys: `ready`. Arguments: the terms; the number of leases; for each: job id, attempt, worker id.
-- Reply: for each 'held', 'lost' or 'cancelled'.
-- Invariant: only the newest attempt's holder keeps a lease, or regains one that ran out while nobody else has claimed
-- the job. Runs when Redis is out of memory: it stores nothing new.
changes('renew', function(q, args)
  local replies = {}
  for index = 1, tonumber(args[1]) do
    local at = 2 + (index - 1) * 3
    local job = read_job(q, args[at])
    if keeps(q, job, tonumber(args[at + 1]), args[at + 2]) then
      redis.call('ZADD', q.prefix .. 'leases', 'XX', q.now + q.lease_ms, args[at])
      replies[index] = 'held'
    else
      replies[index] = refusal(job, tonumber(args[at + 1]))
    end
  end
  return replies
end)
