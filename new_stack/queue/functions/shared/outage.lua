--@include record finish alone
-- Leases know outages of Redis, and jumps of its clock.
local QUIET_MS = 3000

-- Whoever reaps leaves the time behind; where that is too long ago, Redis was away (or its clock jumped), nobody could
-- renew, and every lease gets one whole term before any may run out. Where it lies ahead, the clock was set back, and what
-- was due by the old one is due within a term of the new one. Answers whether leases may run out now.
local function tick(q)
  local key = q.prefix .. 'reaped_at'
  local last, grace = string.match(redis.call('GET', key) or '', '^(%d+) (%d+)$')
  -- Where nobody has reaped yet, nothing says that Redis was there while the leases that there are could be renewed.
  if not last and redis.call('ZCARD', q.prefix .. 'leases') > 0 then last = 0 end
  last, grace = tonumber(last or q.now), tonumber(grace or 0)
  if q.now - last > QUIET_MS or last - q.now > QUIET_MS then grace = q.now + q.lease_ms end
  if last - q.now > QUIET_MS then
    for _, index in ipairs({ { 'leases', q.lease_ms }, { 'delayed', q.retry_backoff_max_ms } }) do
      local latest = q.now + index[2]
      for _, id in ipairs(redis.call('ZRANGEBYSCORE', q.prefix .. index[1], '(' .. latest, '+inf')) do
        local job = read_job(q, id)
        -- A job that was submitted for later waits for that moment; one with a policy has a longest pause of its own.
        local cap = job and job.retry_policy and job.retry_policy.backoff_cap_ms or 0
        if not (job and job.attempt == 0) then
          redis.call('ZADD', q.prefix .. index[1], math.max(latest, q.now + cap), id)
        end
      end
    end
  end
  redis.call('SET', key, string.format('%.0f %.0f', q.now, grace))
  return q.now >= grace
end

-- 'held' where this attempt may go on with its job, for another term; else why not. It holds it, or its lease ran out and
-- nobody has claimed the job since: then it holds it again, from its place among the ready jobs, and no worker was lost.
local function keep(q, job, attempt, worker_id)
  if not may_end(job, attempt, worker_id) then return refusal(job, attempt) end
  if job.state == 'claimed' then
    redis.call('ZADD', q.prefix .. 'leases', 'XX', q.now + q.lease_ms, job.id)
    return 'held'
  end
  leave_ready(q, job)
  count_loss(job, -1)
  job.state, job.worker_id, job.lost_by, job.offered_to = 'claimed', worker_id, nil, nil
  redis.call('ZADD', q.prefix .. 'leases', q.now + q.lease_ms, job.id)
  emit(q, job, 'claimed', { 'worker_id', worker_id })
  save_job(q, job)
  return 'held'
end
