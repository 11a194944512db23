--@include record finish retry_policy delayed
-- Fail a held attempt. Answers 'pending' (it will run again, after its back-off), 'failed' (for good), 'lost' or
-- 'cancelled'; a repeat by the attempt that failed it is answered the same and changes nothing.
local function fail(q, id, attempt, worker_id, reason, retryable, kind, trace)
  local job = read_job(q, id)
  if job and job.failed_attempt == attempt and job.failed_by == worker_id
      and (job.state == 'pending' or job.state == 'failed') then
    return job.state
  end
  if not may_end(job, attempt, worker_id) then return refusal(job, attempt) end
  job.worker_id = worker_id
  job.failures, job.failed_by, job.failed_attempt = job.failures + 1, worker_id, attempt
  job.error_type, job.traceback = kind ~= '' and kind or nil, trace ~= '' and trace or nil
  local pause = backoff(q, job)
  retryable = retryable and may_run_again(job, reason, kind)
  if job.deadline_at and q.now + pause >= job.deadline_at then
    retryable, reason = false, reason .. ' (and its deadline is before the next attempt)'
  end
  if not retryable or job.failures > job.max_retries then
    job.error = reason
    finish(q, job, 'failed')
    return 'failed'
  end
  open_stream(q, job)
  if not leave_ready(q, job) then give_back(q, job) end
  job.error, job.worker_id, job.lost_by = reason, nil, nil
  if pause > 0 then delay(q, job, q.now + pause) else make_ready(q, job) end
  emit(q, job, 'attempt_failed', said_of_failure(job, worker_id, reason))
  save_job(q, job)
  return 'pending'
end
