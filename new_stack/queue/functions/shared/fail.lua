--@include record finish retry_policy delayed
-- Fail an attempt. Answers the job's new state: 'pending' (it will run again, after its back-off) or 'failed' (for good).
local function fail(q, job, worker_id, reason, retryable, kind, trace)
  job.failures, job.failed_by, job.failed_attempt = job.failures + 1, worker_id, job.attempt
  job.worker_id, job.error = worker_id, reason
  job.error_type, job.traceback = kind ~= '' and kind or nil, trace ~= '' and trace or nil
  local pause = backoff(q, job)
  if not retryable or not may_run_again(q, job, pause) or job.failures > job.max_retries then
    finish(q, job, 'failed')
    return 'failed'
  end
  open_stream(q, job)
  if not leave_ready(q, job) then give_back(q, job) end
  job.worker_id, job.lost_by = nil, nil
  if pause > 0 then delay(q, job, q.now + pause) else make_ready(q, job) end
  emit(q, job, 'attempt_failed', said_of_failure(job, worker_id, reason))
  save_job(q, job)
  return 'pending'
end
