--@include context record forget
-- drop: forget an ended job now, with all that is kept of it.
-- Keys: `ready`. Arguments: the terms; job id.
-- Reply: 'dropped', {'refused', its state} or 'missing'.
-- Invariant: what has not ended is never dropped.
local ENDED = { completed = true, failed = true, cancelled = true }

redis.register_function{
  function_name = 'hubgate_drop',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    local job = read_job(q, args[q.first])
    if not job then return 'missing' end
    if not ENDED[job.state] then return { 'refused', job.state } end
    forget(q, { job.id })
    return 'dropped'
  end,
}
