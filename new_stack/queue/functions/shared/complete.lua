--@include job events finish
-- Complete a held job. Answers 'completed', 'lost' or 'cancelled'; a repeat by the attempt that completed it
-- (its first answer got lost) is answered the same and changes nothing.
local function complete(q, id, attempt, worker_id, result)
  local job = read_job(q, id)
  if job and job.state == 'completed' and job.attempt == attempt and job.worker_id == worker_id then
    return 'completed'
  end
  if not holds(job, attempt, worker_id) then return refusal(job, attempt) end
  finish(q, job, 'completed', 'result', result)
  local said = { 'worker_id', worker_id, 'result', result }
  if #result > q.inline_result_limit then
    said = { 'worker_id', worker_id, 'result_omitted', '1' }
  end
  emit(q, job, 'completed', said)
  return 'completed'
end
