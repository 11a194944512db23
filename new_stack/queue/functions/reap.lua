--@include context expire delayed overdue workers wake unserved forget tally
-- reap: what the clock alone brings about. Anyone may call it, at any time, any number at once.
-- Keys: `ready`. Arguments: the terms; how many of each kind at most.
-- Reply: {ids of jobs put back or given up, '1' if there may be more to do}.
-- Invariant: a job whose lease ran out is back in its old place (or failed for good after too many lost workers);
-- no ready job waits while a worker that serves it is idle: a wake-up may have got lost, or gone to one that died;
-- ended jobs are kept by age and by number; the tallies of minutes that are over are folded.
local TALLIES_FOLDED = 20

local function forget_ended(q, limit)
  local expired = redis.call('ZCOUNT', q.prefix .. 'ended', '-inf', q.now - q.finished_ttl_ms)
  local surplus = redis.call('ZCARD', q.prefix .. 'ended') - q.finished_limit
  local due = math.min(limit, math.max(expired, surplus))
  if due > 0 then forget(q, redis.call('ZRANGE', q.prefix .. 'ended', 0, due - 1)) end
  return due == limit
end

local function forget_workers(q, limit)
  local latest = q.now + q.heartbeat_ttl_ms - q.forget_worker_ms
  local gone = redis.call('ZRANGEBYSCORE', q.prefix .. 'workers', '-inf', latest, 'LIMIT', 0, limit)
  for _, id in ipairs(gone) do forget_worker(q, id) end
end

changes('reap', function(q, args)
  local limit = tonumber(args[1])
  local reaped, more = expire_leases(q, limit)
  more = promote(q, limit) == limit or more
  more = fail_overdue(q, limit) == limit or more
  do_gathered(q)
  more = forget_ended(q, limit) or more
  more = fold_due(q, TALLIES_FOLDED) == TALLIES_FOLDED or more
  forget_workers(q, limit)
  note_unserved(q)
  wake_others(q)
  return { reaped, more and '1' or '0' }
end)
