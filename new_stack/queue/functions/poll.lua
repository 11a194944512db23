--@include context expire workers finish walk
-- poll: what an idle worker asks once in a while, so that no due retry or dead worker leaves a job standing: leases
-- that ran out and retries that are due are made ready, and wake those who serve them.
-- Keys: `ready`. Arguments: the terms; worker id, class, services; its report (JSON) where a heartbeat is due, else '';
-- ms for which a worker that counts as idle does so from now on.
-- Reply: {how many jobs are ready that it serves, ids of jobs put back or given up}.
-- Invariant: changes nothing but what the clock has brought about.
local POLL_LIMIT = 100

redis.register_function{
  function_name = 'hubgate_poll',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    if args[q.first + 3] ~= '' then beat(q, unpack(args, q.first, q.first + 3)) end
    local reaped = expire_leases(q, POLL_LIMIT)
    promote(q, POLL_LIMIT)
    save_tallies(q)
    local ready = ready_for(q, { id = args[q.first], class = args[q.first + 1], services = args[q.first + 2] })
    local idle_ms = tonumber(args[q.first + 4])
    if idle_ms > 0 then
      redis.call('ZADD', q.prefix .. 'idle:' .. args[q.first + 1], 'XX', q.now + idle_ms, args[q.first])
    end
    return { ready, reaped }
  end,
}
