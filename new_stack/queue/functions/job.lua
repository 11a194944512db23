--@include context record ready workers paused unserved
-- job: one job as it stands.
-- Keys: `ready`. Arguments: job id; '1' where its large bodies are wanted.
-- Reply: {} where there is none, else {the record's row, its position, since when nobody serves it or '', since when its service
-- is paused or ''}.
-- Invariant: changes nothing; O(log n).
reads('job', function(q, args)
  local job = read_job(q, args[1])
  if not job then return {} end
  local place, since = position(q, job), ''
  if place > 0 then since = unserved_since(q, group_of(job)) or '' end
  if args[2] ~= '1' then job.payload_apart, job.result_apart = nil, nil end
  local paused = job.state == 'pending' and paused_since(q, 'service', job.service_required) or ''
  return { row_of(q, job), place, since, paused }
end)
