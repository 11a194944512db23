--@include context expire workers finish walk
-- poll: what an idle worker asks once in a while, so that no due retry or dead worker leaves a job standing: leases
-- that ran out and retries that are due are made ready, and wake those who serve them; where there is a job that it serves,
-- and nothing has woken it, it is woken.
-- Keys: `ready`. Arguments: the terms; worker id, class, services; its report (JSON) where a heartbeat is due, else '';
-- ms for which a worker that counts as idle does so from now on.
-- Reply: {how many jobs are ready that it serves, ids of jobs put back or given up}.
-- Invariant: changes nothing but what the clock has brought about.
local POLL_LIMIT = 100

changes('poll', function(q, args)
  if args[q.first + 3] ~= '' then beat(q, unpack(args, q.first, q.first + 3)) end
  local reaped = expire_leases(q, POLL_LIMIT)
  promote(q, POLL_LIMIT)
  local worker = { id = args[q.first], class = args[q.first + 1], services = args[q.first + 2] }
  local ready = ready_for(q, worker)
  if ready > 0 and redis.call('EXISTS', q.prefix .. 'wake:' .. worker.id) == 0 then wake_worker(q, worker.id) end
  local idle_ms = tonumber(args[q.first + 4])
  if idle_ms > 0 then
    redis.call('ZADD', q.prefix .. 'idle:' .. worker.class, 'XX', q.now + idle_ms, worker.id)
  end
  return { ready, reaped }
end)
