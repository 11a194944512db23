--@include context record finish
-- retry: make a failed or cancelled job ready by hand, at its old place, its failures forgotten.
-- Keys: `ready`. Arguments: the terms; job id.
-- Reply: {'retried', the record's row, its position}, {'refused', its state} or {'missing'}.
-- Invariant: the attempt number goes on growing, so nothing of an older attempt is accepted.
local FORGOTTEN = {
  'worker_id', 'failed_by', 'failed_attempt', 'offered_to', 'lost_by', 'lost_alone', 'error', 'error_type', 'traceback',
  'not_before', 'cancel_reason', 'ended_at', 'ended_id', 'progress', 'status_message', 'logs',
}

adds('retry', function(q, args)
  local id = args[1]
  local job = read_job(q, id)
  if not job then return { 'missing' } end
  if job.state ~= 'failed' and job.state ~= 'cancelled' then return { 'refused', job.state } end
  open_stream(q, job)
  redis.call('PERSIST', q.prefix .. 'events:' .. id)
  redis.call('ZREM', q.prefix .. 'ended', id)
  redis.call('ZREM', q.prefix .. job.state, id)
  for _, field in ipairs(FORGOTTEN) do job[field] = nil end
  job.state, job.failures, job.deliveries = 'pending', 0, 0
  set_deadline(q, job)
  make_ready(q, job)
  emit(q, job, 'retried', {})
  save_job(q, job)
  return { 'retried', row_of(q, job), position(q, job) }
end)
