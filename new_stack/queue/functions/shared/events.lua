--@include context job
-- One event into `events` and, under the same id, into `progress:{id}`: a reader of either can go on in the other.
local function emit(q, job, kind, extra)
  local entry = {
    'kind', kind, 'job_id', job.id, 'at', q.now,
    'service_required', job.service_required, 'priority', job.priority, 'attempt', job.attempt,
  }
  if job.client_id ~= '' then
    entry[#entry + 1] = 'client_id'
    entry[#entry + 1] = job.client_id
  end
  for index = 1, #extra do
    entry[#entry + 1] = extra[index]
  end
  local id = redis.call('XADD', q.prefix .. 'events', 'MAXLEN', '~', q.events_stream_length, '*', unpack(entry))
  local stream = q.prefix .. 'progress:' .. job.id
  local added = redis.pcall('XADD', stream, 'MAXLEN', '~', q.progress_stream_length, id, unpack(entry))
  if added.err then
    -- `events` was deleted by hand and the clock stands behind this stream's last id.
    redis.call('XADD', stream, 'MAXLEN', '~', q.progress_stream_length, '*', unpack(entry))
  end
end
