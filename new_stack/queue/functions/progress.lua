--@include context expire
-- progress: note how far a held job is, tell its followers, and renew its lease, as renew does.
-- Keys: `ready`. Arguments: the terms; job id, attempt, worker id, progress, status, message, details (JSON),
-- '' where there is none; its number among what the attempt says, from 1, or 0.
-- Reply: 'held', 'lost' or 'cancelled'.
-- Invariant: nothing is said of a job by an attempt that no longer holds it, and nothing numbered twice.
redis.register_function{
  function_name = 'hubgate_progress',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    local attempt, worker_id = tonumber(args[q.first + 1]), args[q.first + 2]
    local progress, status, message, details = unpack(args, q.first + 3, q.first + 6)
    local job = read_job(q, args[q.first])
    if not keeps(q, job, attempt, worker_id) then return refusal(job, attempt) end
    redis.call('ZADD', q.prefix .. 'leases', 'XX', q.now + q.lease_ms, job.id)
    if is_repeated(job, attempt, args[q.first + 7]) then return 'held' end
    local said = { 'worker_id', worker_id, 'progress', progress, 'status', status }
    open_stream(q, job)
    job.progress = tonumber(progress)
    if message ~= '' then
      said[#said + 1], said[#said + 2] = 'message', message
      job.status_message = message
    end
    if details ~= '' then
      said[#said + 1], said[#said + 2] = 'details', details
    end
    emit(q, job, 'progress', said)
    save_job(q, job)
    return 'held'
  end,
}
