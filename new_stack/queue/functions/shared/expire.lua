--@include record finish outage alone set_aside
-- Leases that ran out: their jobs go back to their old places, or fail for good after losing too many workers.

local function expire_lease(q, id)
  local job, why = read_job(q, id)
  if not job or job.state ~= 'claimed' then
    redis.call('ZREM', q.prefix .. 'leases', id)
    set_aside(q, id, NO_GROUP, why)
    return false
  end
  count_loss(job, 1)
  if has_lost_too_many(q, job) then
    job.error_type, job.traceback = nil, nil
    job.error = 'lost its worker ' .. job.deliveries .. ' times; the last one was ' .. (job.worker_id or '')
    finish(q, job, 'failed')
  else
    hand_back(q, job, 'lease_expired')
  end
  return true
end

local function expire_leases(q, limit)
  if not tick(q) then return {}, false end
  local due = redis.call('ZRANGEBYSCORE', q.prefix .. 'leases', '-inf', q.now, 'LIMIT', 0, limit)
  local reaped = {}
  for _, id in ipairs(due) do
    if expire_lease(q, id) then reaped[#reaped + 1] = id end
  end
  return reaped, #due == limit
end
