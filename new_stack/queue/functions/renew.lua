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
    replies[index] = keep(q, read_job(q, args[at]), tonumber(args[at + 1]), args[at + 2])
  end
  return replies
end)
