--@include record finish
-- Complete a job. Answers its new state.
local function complete(q, job, worker_id, result)
  job.worker_id, job.error, job.error_type, job.traceback = worker_id, nil, nil, nil
  keep_body(q, job, 'result', result)
  finish(q, job, 'completed')
  return 'completed'
end
