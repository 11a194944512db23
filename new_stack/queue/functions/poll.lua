--@include context job events pending finish expire workers
-- poll: what an idle worker asks once in a while, so that no lost wake-up, due retry or dead worker leaves a job
-- standing: leases that ran out and retries that are due go back to the line, and wake-ups are put in for all of it.
-- Keys: `jobs:pending`. Arguments: the terms; worker id; its report (JSON) where a heartbeat is due, else ''.
-- Reply: {how many jobs stand in the line, ids of jobs put back or given up}.
-- Invariant: changes nothing but what the clock has brought about; never more wake-ups than jobs in the line.
local LOOK_LIMIT = 100

redis.register_function{
  function_name = 'hubgate_poll',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    if args[q.first + 1] ~= '' then beat(q, args[q.first], args[q.first + 1]) end
    local reaped = expire_leases(q, LOOK_LIMIT)
    promote(q, LOOK_LIMIT)
    local pending = redis.call('ZCARD', q.prefix .. 'jobs:pending')
    if pending > 0 then wake(q, pending) end
    return { pending, reaped }
  end,
}
