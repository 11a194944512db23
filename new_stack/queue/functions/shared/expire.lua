--@include job events pending finish
-- Leases that ran out: their jobs go back to their old places, or fail for good after losing too many workers.
local function expire_lease(q, id)
  local job = read_job(q, id)
  if not job or job.state ~= 'claimed' then
    redis.call('ZREM', q.prefix .. 'jobs:leases', id)
    return false
  end
  local worker_id = job.worker_id
  local deliveries = job.deliveries + 1
  if deliveries >= q.max_deliveries then
    local reason = 'lost its worker ' .. deliveries .. ' times; the last one was ' .. worker_id
    finish(q, job, 'failed', 'deliveries', deliveries, 'error', reason)
    emit(q, job, 'failed', { 'worker_id', worker_id, 'error', reason })
    return true
  end
  give_back(q, job, 'deliveries', deliveries)
  enter_pending(q, job)
  emit(q, job, 'lease_expired', { 'worker_id', worker_id })
  return true
end

local function expire_leases(q, limit)
  local due = redis.call('ZRANGEBYSCORE', q.prefix .. 'jobs:leases', '-inf', q.now, 'LIMIT', 0, limit)
  local reaped = {}
  for _, id in ipairs(due) do
    if expire_lease(q, id) then reaped[#reaped + 1] = id end
  end
  if #reaped > 0 then wake(q, #reaped) end
  return reaped, #due == limit
end
