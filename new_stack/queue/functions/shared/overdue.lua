--@include finish deadline set_aside
-- Pending jobs whose deadline has passed fail.
local function fail_late(q, job)
  open_stream(q, job)
  job.error = DEADLINE_PASSED
  finish(q, job, 'failed')
end

-- Fail up to `limit` pending jobs whose deadline has passed; how many were looked at.
local function fail_overdue(q, limit)
  local due = redis.call('ZRANGEBYSCORE', q.prefix .. 'deadlines', '-inf', q.now, 'LIMIT', 0, limit)
  for _, id in ipairs(due) do
    local job, why = read_job(q, id)
    if job and job.state == 'claimed' then
      redis.call('ZADD', q.prefix .. 'deadlines', q.now + q.lease_ms, id)  -- its worker stops it, or loses its lease
    else
      redis.call('ZREM', q.prefix .. 'deadlines', id)
      set_aside(q, id, NO_GROUP, why)
    end
    if job and job.state == 'pending' then fail_late(q, job) end
  end
  return #due
end
