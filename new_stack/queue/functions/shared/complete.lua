--@include record finish
-- Complete a held job. Answers 'completed', 'lost' or 'cancelled'; a repeat by the attempt that completed it
-- (its first answer got lost) is answered the same and changes nothing.
local function complete(q, id, attempt, worker_id, result)
  local job = read_job(q, id)
  if job and job.state == 'completed' and job.attempt == attempt and job.worker_id == worker_id then
    return 'completed'
  end
  if not may_end(job, attempt, worker_id) then return refusal(job, attempt) end
  job.worker_id, job.error, job.error_type, job.traceback = worker_id, nil, nil, nil
  keep_body(q, job, 'result', result)
  finish(q, job, 'completed')
  return 'completed'
end
