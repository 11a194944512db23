--@include context record events
-- show: tell in `events` how a job stands, for monitors whose picture of it is stale. The job's own stream is not told.
-- Keys: `ready`. Arguments: the terms; job id.
-- Reply: '1', or '' where there is no such job.
-- Invariant: changes no job.
adds('show', function(q, args)
  local job = read_job(q, args[1])
  if not job then return '' end
  tell_all(q, job, 'state', { 'status', job.state, 'worker_id', job.worker_id or '' })
  return '1'
end)
