--@include context expire workers delayed walk
-- poll: what an idle worker asks once in a while, so that no due retry or dead worker leaves a job standing: leases
-- that ran out and retries that are due are made ready, and wake those who serve them; where there is a job that it serves,
-- and nothing has woken it, it is woken.
-- Keys: `ready`. Arguments: the terms; worker id, class, services; its report (JSON) where a heartbeat is due, else '';
-- ms for which a worker that counts as idle does so from now on.
-- Reply: {'1' where there is a job for it, else ''; ids of jobs put back or given up}.
-- Invariant: changes nothing but what the clock has brought about.
local POLL_LIMIT = 100

changes('poll', function(q, args)
  if args[4] ~= '' then beat(q, unpack(args, 1, 4)) end
  local reaped = expire_leases(q, POLL_LIMIT)
  promote(q, POLL_LIMIT)
  local worker = { id = args[1], class = args[2], services = args[3] }
  local has_work = find_best(q, begin_walk(q, worker, 1))
  if has_work and redis.call('EXISTS', q.prefix .. 'wake:' .. worker.id) == 0 then wake_worker(q, worker.id) end
  local idle_ms = tonumber(args[5])
  if idle_ms > 0 then redis.call('ZADD', q.prefix .. 'idle:' .. worker.class, 'XX', q.now + idle_ms, worker.id) end
  return { has_work and '1' or '', reaped }
end)
