--@include context record events
-- note: tell of a held job what does not change it: a line of its log to its followers, a request of its worker in
-- `events` only.
-- Keys: `ready`. Arguments: the terms; job id, attempt, worker id, the event's kind, status, message, details (JSON),
-- '' where there is none; its number among what the attempt says, from 1, or 0.
-- Reply: 'held', 'lost' or 'cancelled'.
-- Invariant: nothing is said of a job by an attempt that no longer holds it, and nothing numbered twice; its record keeps the last LOG_LINES lines.
local LOG_LINES = 20

redis.register_function{
  function_name = 'hubgate_note',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    local attempt, worker_id, kind = tonumber(args[q.first + 1]), args[q.first + 2], args[q.first + 3]
    local job = read_job(q, args[q.first])
    if not holds(job, attempt, worker_id) then return refusal(job, attempt) end
    if is_repeated(job, attempt, args[q.first + 7]) then return 'held' end
    local said = { 'worker_id', worker_id }
    for index, field in ipairs({ 'status', 'message', 'details' }) do
      local value = args[q.first + 3 + index]
      if value ~= '' then said[#said + 1], said[#said + 2] = field, value end
    end
    if kind ~= 'log' then
      tell_all(q, job, kind, said)
      save_job(q, job)
      return 'held'
    end
    open_stream(q, job)
    job.logs = job.logs or {}
    if #job.logs == LOG_LINES then table.remove(job.logs, 1) end
    job.logs[#job.logs + 1] = { at = q.now, level = args[q.first + 4], message = args[q.first + 5] }
    emit(q, job, kind, said)
    save_job(q, job)
    return 'held'
  end,
}
