--@include record events ready workers wake overdue walk delayed set_aside share alone tally
-- Claim up to `count` jobs that the worker serves: highest priority first, then oldest, over all of its groups together.
-- Each leaves the ready jobs and goes onto a lease in this one step, under a new attempt number.
--
-- The bounds of the groups are corrected here, when a group's best job turns out to be worse than the next group's. So a
-- claim looks at as many groups as it has to, never at all jobs.
local CLAIM_PAGE = 100
local CLAIM_INSPECTED = 5000

local function hold(q, job, worker)
  if job.attempt > 0 then
    open_stream(q, job)
  else
    tally(q, job.service_required, WAIT, q.now - math.max(job.created_at, job.not_before or 0))
  end
  job.attempt = job.attempt + 1
  job.state, job.worker_id, job.claimed_at = 'claimed', worker.id, q.now
  job.progress, job.status_message, job.lost_by, job.offered_to = nil, nil, nil, nil
  local expires_at = q.now + q.lease_ms
  gather(q, 'ZADD', 'leases', expires_at, job.id)
  emit(q, job, 'claimed', { 'worker_id', worker.id })
  save_job(q, job)
  return {
    cmsgpack.pack({
      job.id, job.attempt, job.service_required, job.priority, job.max_retries, job.failures, expires_at, worker.id,
      runs_alone(job), job.client_id or '', attempt_ms(q, job),
    }),
    body_of(q, job, 'payload'), job.extra or '',
  }
end

-- Never straight back to the worker that failed it, while another one that serves it waits, or was woken for it and is
-- on its way.
local function is_for_another(q, job, worker, group)
  if job.failed_by ~= worker.id then return false end
  if another_is_idle(q, worker.id, group) then return true end
  if not job.offered_to or redis.call('EXISTS', q.prefix .. 'wake:' .. job.offered_to) == 0 then return false end
  local alive_until = redis.call('ZSCORE', q.prefix .. 'workers', job.offered_to)
  return alive_until and tonumber(alive_until) >= q.now
end

-- What becomes of the places that a claim left empty: the worker is idle from now on; or, where it left jobs to
-- others, it looks again at once, because they may not come.
local function wait_for_more(q, worker, left_some)
  if worker.wait_ms == 0 or paused_since(q, 'worker', worker.id) then return end
  if left_some then return wake_worker(q, worker.id) end
  redis.call('ZADD', q.prefix .. 'idle:' .. worker.class, q.now + worker.wait_ms, worker.id)
end

local function claim(q, worker, count)
  local leases, passed, inspected = {}, {}, 0
  promote(q, CLAIM_PAGE)
  local walk, share = begin_walk(q, worker, count), begin_share(q, worker, count)
  while #leases < share.limit and inspected < CLAIM_INSPECTED do
    local member, score, found = find_best(q, walk)
    if not member then break end
    local group = found.group
    found.at, found.passed, inspected = found.at + 2, (found.passed or 0) + 1, inspected + 1
    local job, why = read_job(q, id_of(member))
    if not job or job.state ~= 'pending' then
      gather(q, 'ZREM', 'ready:' .. group, member)
      set_aside(q, id_of(member), group, why)
    elseif job.deadline_at and job.deadline_at <= q.now then
      found.passed = found.passed - 1
      fail_late(q, job)
    elseif runs_alone(job) and worker.running + #leases > 0 then
      passed[#passed + 1] = { group, score }
      break  -- this worker takes nothing more until it has nothing else
    elseif is_for_another(q, job, worker, group) then
      passed[#passed + 1] = { group, score }
    elseif has_its_share(q, share, group) then
      table.remove(walk.groups, walk.groups[1] == found and 1 or 2)
    else
      leases[#leases + 1] = hold(q, job, worker)
      gather(q, 'ZREM', 'ready:' .. group, member)
      if runs_alone(job) then break end
    end
  end
  for _, one in ipairs(passed) do redis.call('ZADD', bounds_of(q, one[1]), 'GT', one[2], one[1]) end
  local left_some = share.left_some or (#leases == share.limit and share.limit < count)
  if #leases < count or #passed > 0 then wait_for_more(q, worker, #passed == 0 and left_some) end
  return leases
end
