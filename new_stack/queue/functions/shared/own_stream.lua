--@include entry
-- A job's own stream, `events:{id}`. The record remembers the ids of the submission, of the first claim and of the end,
-- so a job that has nothing else to tell needs none; the first event of another kind opens it, and it begins with those
-- that the record remembers. A reader of either stream can go on in the other.

-- The events that the record remembers, oldest first, as {id, fields}.
local function remembered(q, job)
  local found = {}
  if job.submitted_id then
    found[1] = { job.submitted_id, entry_of(job, 'submitted', job.created_at, 0, {}) }
  end
  if job.claimed_id then
    local said = { 'worker_id', job.worker_id or job.lost_by or '' }
    found[#found + 1] = { job.claimed_id, entry_of(job, 'claimed', job.claimed_at, 1, said) }
  end
  if job.ended_id then
    local said = said_of_end(q, job)
    found[#found + 1] = { job.ended_id, entry_of(job, job.state, job.ended_at, job.attempt, said) }
  end
  return found
end

local function append(q, job, id, entry)
  local stream = q.prefix .. 'events:' .. job.id
  local added = redis.pcall('XADD', stream, 'MAXLEN', '~', q.progress_stream_length, id, unpack(entry))
  if type(added) == 'table' and added.err then
    -- `events` was deleted by hand and the clock stands behind this stream's last id.
    redis.call('XADD', stream, 'MAXLEN', '~', q.progress_stream_length, '*', unpack(entry))
  end
end

-- Open the job's own stream, while its record still says what the first events were.
local function open_stream(q, job)
  if job.streamed then return end
  for _, event in ipairs(remembered(q, job)) do append(q, job, event[1], event[2]) end
  job.streamed = true
end
