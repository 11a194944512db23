--@include record finish outage
-- Leases that ran out: their jobs go back to their old places, or fail for good after losing too many workers.

-- A job that has lost ALONE_AFTER workers runs alone from then on, and only what it loses alone counts against it: a
-- job that kills its worker takes those beside it along, and they must not fail for it.
local function expire_lease(q, id)
  local job = read_job(q, id)
  if not job or job.state ~= 'claimed' then
    redis.call('ZREM', q.prefix .. 'leases', id)
    return false
  end
  local worker_id = job.worker_id or ''
  job.deliveries = job.deliveries + 1
  if job.deliveries > ALONE_AFTER then job.lost_alone = (job.lost_alone or 0) + 1 end
  if job.deliveries >= q.max_deliveries and ALONE_AFTER + (job.lost_alone or 0) >= q.max_deliveries then
    job.error_type, job.traceback = nil, nil
    job.error = 'lost its worker ' .. job.deliveries .. ' times; the last one was ' .. worker_id
    finish(q, job, 'failed')
    return true
  end
  give_back(q, job)
  job.lost_by = worker_id
  make_ready(q, job)
  emit(q, job, 'lease_expired', { 'worker_id', worker_id })
  save_job(q, job)
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
