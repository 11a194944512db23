--@include context expire
-- progress: what an attempt says while it runs: how far the job is or a line of its log, to its followers; a request of its
-- worker to a back end, in `events` only. It renews the lease, as renew does.
-- Keys: `ready`. Arguments: the terms; job id, attempt, worker id, the event's kind, progress, status, message, details
-- (JSON), '' where there is none; its number among what the attempt says, from 1, or 0.
-- Reply: 'held', 'lost' or 'cancelled'.
-- Invariant: nothing is said of a job by an attempt that no longer holds it, and nothing numbered twice; its record keeps
-- the last LOG_LINES lines.
local LOG_LINES = 20
local SAID = { 'progress', 'status', 'message', 'details' }

local function keep_line(q, job, level, message)
  job.logs = job.logs or {}
  if #job.logs == LOG_LINES then table.remove(job.logs, 1) end
  job.logs[#job.logs + 1] = { at = q.now, level = level, message = message }
end

changes('progress', function(q, args)
  local attempt, worker_id, kind = tonumber(args[q.first + 1]), args[q.first + 2], args[q.first + 3]
  local progress, status, message = unpack(args, q.first + 4, q.first + 6)
  local job = read_job(q, args[q.first])
  if not keeps(q, job, attempt, worker_id) then return refusal(job, attempt) end
  redis.call('ZADD', q.prefix .. 'leases', 'XX', q.now + q.lease_ms, job.id)
  if is_repeated(job, attempt, args[q.first + 8]) then return 'held' end
  local said = { 'worker_id', worker_id }
  for index, field in ipairs(SAID) do
    local value = args[q.first + 3 + index]
    if value ~= '' then said[#said + 1], said[#said + 2] = field, value end
  end
  if kind == 'service_request' then
    tell_all(q, job, kind, said)
  else
    open_stream(q, job)
    if kind == 'log' then keep_line(q, job, status, message) end
    if kind == 'progress' then job.progress = tonumber(progress) end
    if kind == 'progress' and message ~= '' then job.status_message = message end
    emit(q, job, kind, said)
  end
  save_job(q, job)
  return 'held'
end)
