--@include entry own_stream
-- The events of a job. Each goes into `events`, and into the job's own stream where it has one.
local ENDINGS = { completed = true, failed = true, cancelled = true }

-- Put an event into `events`, for those who follow all jobs; its id and its fields.
local function tell_all(q, job, kind, extra)
  local entry = entry_of(job, kind, q.now, job.attempt, extra)
  local stream = q.prefix .. 'events'
  return redis.call('XADD', stream, 'MAXLEN', '~', q.events_stream_length, '*', unpack(entry)), entry
end

-- Tell one event; the caller saves the record afterwards, and has called open_stream before it changed the record,
-- where the event is none of those that the record remembers.
local function emit(q, job, kind, extra)
  local id, entry = tell_all(q, job, kind, extra)
  if job.streamed then
    append(q, job, id, entry)
    if ENDINGS[kind] then redis.call('PEXPIRE', q.prefix .. 'events:' .. job.id, q.events_ttl_ms) end
  end
  if kind == 'submitted' then job.submitted_id = id end
  if kind == 'claimed' and not job.streamed then job.claimed_id = id end
  if ENDINGS[kind] then job.ended_id = id end
end
