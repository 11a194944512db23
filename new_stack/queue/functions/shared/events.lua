--@include context record
-- The events of a job. Each goes into `events`. The record remembers the ids of the submission, of the first claim and
-- of the end, so a job that has nothing else to tell needs no stream of its own; the first event of another kind opens
-- `events:{id}`, which begins with those that the record remembers. A reader of either stream can go on in the other.
local ENDINGS = { completed = true, failed = true, cancelled = true }

local function entry_of(job, kind, at, attempt, extra)
  local entry = {
    'kind', kind, 'job_id', job.id, 'at', at,
    'service_required', job.service_required, 'priority', job.priority, 'attempt', attempt,
  }
  if job.client_id then
    entry[#entry + 1] = 'client_id'
    entry[#entry + 1] = job.client_id
  end
  for index = 1, #extra do entry[#entry + 1] = extra[index] end
  return entry
end

-- What the event of a failed attempt says besides.
local function said_of_failure(job, worker_id, reason)
  local said = { 'worker_id', worker_id, 'error', reason }
  for _, field in ipairs({ 'error_type', 'traceback' }) do
    if job[field] then said[#said + 1], said[#said + 2] = field, job[field] end
  end
  return said
end

-- What the event of a job's end says besides.
local function said_of_end(q, job)
  if job.state == 'cancelled' then
    local said = { 'message', job.cancel_reason or '' }
    if job.worker_id then
      said[3], said[4] = 'worker_id', job.worker_id
    end
    return said
  end
  if job.state == 'failed' then return said_of_failure(job, job.worker_id or '', job.error or '') end
  local apart = job.result_apart and redis.call('STRLEN', q.prefix .. 'result:' .. job.id) or 0
  if apart > q.inline_result_limit then return { 'worker_id', job.worker_id or '', 'result_omitted', '1' } end
  return { 'worker_id', job.worker_id or '', 'result', body_of(q, job, 'result') }
end

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
  local added = redis.pcall('XADD', stream, 'MAXLEN', '~', q.job_stream_length, id, unpack(entry))
  if type(added) == 'table' and added.err then
    -- `events` was deleted by hand and the clock stands behind this stream's last id.
    redis.call('XADD', stream, 'MAXLEN', '~', q.job_stream_length, '*', unpack(entry))
  end
end

-- Open the job's own stream, while its record still says what the first events were.
local function open_stream(q, job)
  if job.streamed then return end
  for _, event in ipairs(remembered(q, job)) do append(q, job, event[1], event[2]) end
  job.streamed = true
end

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
