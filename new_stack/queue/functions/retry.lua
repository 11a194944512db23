--@include context job events pending
-- retry: put a failed or cancelled job back in the line by hand, at its old place, its failures forgotten.
-- Keys: `jobs:pending`. Arguments: the terms; job id.
-- Reply: {'retried', the record}, {'refused', its state} or {'missing'}.
-- Invariant: the attempt number goes on growing, so nothing of an older attempt is accepted.
redis.register_function('hubgate_retry', function(keys, args)
  local q = open(keys, args)
  local id = args[q.first]
  local key = q.prefix .. 'job:' .. id
  local job = read_job(q, id)
  if not job then return { 'missing' } end
  if job.state ~= 'failed' and job.state ~= 'cancelled' then return { 'refused', job.state } end
  redis.call('ZREM', q.prefix .. 'jobs:expiring', id)
  redis.call('HSET', key, 'state', 'pending', 'failures', 0, 'deliveries', 0, 'worker_id', '')
  redis.call('HDEL', key, 'failed_by', 'failed_attempt', 'error', 'cancel_reason', 'ended_at', 'progress',
    'status_message')
  change_state(q, job, 'pending')
  enter_pending(q, job)
  wake(q, 1)
  emit(q, job, 'retried', {})
  return { 'retried', redis.call('HGETALL', key) }
end)
