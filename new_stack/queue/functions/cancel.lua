--@include context record finish signal
-- cancel: end a job as cancelled, wherever it is, and tell the worker that holds it.
-- Keys: `ready`. Arguments: the terms; job id; reason.
-- Reply: {'cancelled', the record's row, 0}, {'refused', its state} or {'missing'}.
-- Invariant: from here on nothing of the job's old attempt is accepted. A repeat changes nothing.
changes('cancel', function(q, args)
  local job = read_job(q, args[1])
  if not job then return { 'missing' } end
  if job.state == 'completed' or job.state == 'failed' then return { 'refused', job.state } end
  if job.state ~= 'cancelled' then
    if job.state == 'claimed' then signal(q, job) end
    job.cancel_reason = args[2]
    finish(q, job, 'cancelled')
  end
  return { 'cancelled', row_of(q, job), 0 }
end)
