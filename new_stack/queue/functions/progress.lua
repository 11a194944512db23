--@include context job events
-- progress: note how far a held job is, tell its followers, and renew its lease.
-- Keys: `jobs:pending`. Arguments: the terms; job id, attempt, worker id, progress, status, message, details (JSON);
-- '' where there is none.
-- Reply: 'held', 'lost' or 'cancelled'.
-- Invariant: nothing is said of a job by an attempt that no longer holds it.
redis.register_function('hubgate_progress', function(keys, args)
  local q = open(keys, args)
  local id, attempt, worker_id = args[q.first], tonumber(args[q.first + 1]), args[q.first + 2]
  local job = read_job(q, id)
  if not holds(job, attempt, worker_id) then return refusal(job, attempt) end
  local said = { 'worker_id', worker_id, 'progress', args[q.first + 3], 'status', args[q.first + 4] }
  local noted = { 'progress', args[q.first + 3] }
  if args[q.first + 5] ~= '' then
    said[#said + 1] = 'message'
    said[#said + 1] = args[q.first + 5]
    noted[#noted + 1] = 'status_message'
    noted[#noted + 1] = args[q.first + 5]
  end
  if args[q.first + 6] ~= '' then
    said[#said + 1] = 'details'
    said[#said + 1] = args[q.first + 6]
  end
  redis.call('HSET', q.prefix .. 'job:' .. id, unpack(noted))
  redis.call('ZADD', q.prefix .. 'jobs:leases', 'XX', q.now + q.lease_ms, id)
  emit(q, job, 'progress', said)
  return 'held'
end)
