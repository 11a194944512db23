--@include record finish set_aside
-- Pending jobs that wait for a moment, `delayed` by that: the end of their back-off, or the one they were submitted for.
local function delay(q, job, until_ms)
  redis.call('ZADD', q.prefix .. 'delayed', until_ms, job.id)
end

-- Whether a job that was just submitted has to wait for its moment.
local function starts_later(q, job)
  if (job.not_before or 0) <= q.now then return false end
  delay(q, job, job.not_before)
  return true
end

-- Put up to `limit` jobs whose moment has come (back) in their places; how many.
local function promote(q, limit)
  local due = redis.call('ZRANGEBYSCORE', q.prefix .. 'delayed', '-inf', q.now, 'LIMIT', 0, limit)
  for _, id in ipairs(due) do
    redis.call('ZREM', q.prefix .. 'delayed', id)
    local job, why = read_job(q, id)
    if job and job.state == 'pending' then
      make_ready(q, job)
      save_job(q, job)
    else
      set_aside(q, id, NO_GROUP, why)
    end
  end
  return #due
end
