--@include context record events ready repeated delayed wake deadline tally
-- submit: make jobs ready, each once.
-- Keys: `ready`. Arguments: the terms; the number of jobs; for each: id, digest of the content, its record as far as
-- the submitter says it (MessagePack of service_required, priority, max_retries and, where there is one, client_id,
-- extra (JSON), group, rank (the priority to order it by, not its own), retry_policy, not_before), payload.
-- Reply: for each {'created', 'pending', position, created_at, when its deadline is or ''}, {'same', state, position, the
-- record's row} or {'conflict'}. Of rows that are large together, those that would exceed ROWS_BYTES come empty.
-- Invariant: an id names one job for as long as its record lives; a repeat changes nothing.
local function submit_one(q, args, at, at_most)
  local id, digest = args[at], args[at + 1]
  local known = submitted_before(q, id, digest)
  if known then return known end
  q.sequence = (q.sequence or redis.call('INCRBY', q.prefix .. 'sequence', at_most) - at_most) + 1
  local job = new_job(cmsgpack.unpack(args[at + 2]), id, digest, q.now, q.sequence)
  set_deadline(q, job)
  keep_body(q, job, 'payload', args[at + 3])
  if not starts_later(q, job) then
    local group = enter_ready(q, job)
    q.created[group] = (q.created[group] or 0) + 1
  end
  emit(q, job, 'submitted', {})
  save_job(q, job)
  gather(q, 'ZADD', 'jobs', job.sequence, id)
  tally(q, job.service_required, SUBMITTED)
  return { 'created', 'pending', position(q, job), q.now, job.deadline_at or '' }
end

adds('submit', function(q, args)
  q.rows_bytes, q.created = 0, {}
  local count = tonumber(args[1])
  local replies = {}
  for index = 1, count do
    replies[index] = submit_one(q, args, 2 + (index - 1) * 4, count - index + 1)
  end
  for group, created in pairs(q.created) do wake(q, group, created) end
  return replies
end)
