--@include context record
-- What an event says: the fields of its entry in a stream.
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
