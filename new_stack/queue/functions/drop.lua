--@include context record forget
-- drop: forget an ended job now, with all that is kept of it.
-- Keys: `ready`. Arguments: the terms; job id.
-- Reply: {'dropped'}, {'refused', its state} or {'missing'}.
-- Invariant: what has not ended is never dropped.
local ENDED = { completed = true, failed = true, cancelled = true }

changes('drop', function(q, args)
  local job = read_job(q, args[1])
  if not job then return { 'missing' } end
  if not ENDED[job.state] then return { 'refused', job.state } end
  forget(q, { job.id })
  return { 'dropped' }
end)
