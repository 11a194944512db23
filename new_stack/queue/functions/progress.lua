--@include context expire repeated log
-- progress: what an attempt says while it runs: how far the job is or a line of its log, to its followers; a request of its
-- worker to a back end, in `events` only. It renews the lease, as renew does.
-- Keys: `ready`. Arguments: the terms; job id, attempt, worker id, the event's kind, progress, status, message, details
-- (JSON), '' where there is none; its number among what the attempt says, from 1, or 0.
-- Reply: 'held', 'lost' or 'cancelled'.
-- Invariant: nothing is said of a job by an attempt that no longer holds it, and nothing numbered twice; its record keeps
-- the last LOG_LINES lines.
local SAID = { 'progress', 'status', 'message', 'details' }

changes('progress', function(q, args)
  local attempt, worker_id, kind = tonumber(args[2]), args[3], args[4]
  local progress, status, message = unpack(args, 5, 7)
  local job = read_job(q, args[1])
  local answer = keep(q, job, attempt, worker_id)
  if answer ~= 'held' or is_repeated(job, attempt, args[9]) then return answer end
  local said = { 'worker_id', worker_id }
  for index, field in ipairs(SAID) do
    local value = args[4 + index]
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
  return answer
end)
