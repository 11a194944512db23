--@include context record
-- What an event says: the fields of its entry in a stream.
local function add_present(said, job, field)
  if job[field] then said[#said + 1], said[#said + 2] = field, job[field] end
  return said
end

local function entry_of(job, kind, at, attempt, extra)
  return add_present({
    'kind', kind, 'job_id', job.id, 'at', at,
    'service_required', job.service_required, 'priority', job.priority, 'attempt', attempt, unpack(extra),
  }, job, 'client_id')
end

-- What the event of a failed attempt says besides.
local function said_of_failure(job, worker_id, reason)
  return add_present(add_present({ 'worker_id', worker_id, 'error', reason }, job, 'error_type'), job, 'traceback')
end

-- What the event of a job's end says besides.
local function said_of_end(q, job)
  if job.state == 'cancelled' then return add_present({ 'message', job.cancel_reason or '' }, job, 'worker_id') end
  if job.state == 'failed' then return said_of_failure(job, job.worker_id or '', job.error or '') end
  local apart = job.result_apart and redis.call('STRLEN', q.prefix .. 'result:' .. job.id) or 0
  if apart > q.inline_result_limit then return { 'worker_id', job.worker_id or '', 'result_omitted', '1' } end
  return { 'worker_id', job.worker_id or '', 'result', body_of(q, job, 'result') }
end
