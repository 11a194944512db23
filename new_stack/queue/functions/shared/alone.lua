--@include context
-- Jobs that may take their worker along. One that has lost ALONE_AFTER workers runs alone from then on, and only what it
-- loses alone counts against it: those beside it must not fail for it.
local ALONE_AFTER = 2

local function runs_alone(job)
  return job.deliveries >= ALONE_AFTER
end

-- Count a lost worker (1), or that it was none after all (-1).
local function count_loss(job, by)
  if math.max(job.deliveries, job.deliveries + by) > ALONE_AFTER then job.lost_alone = (job.lost_alone or 0) + by end
  job.deliveries = job.deliveries + by
end

local function has_lost_too_many(q, job)
  return job.deliveries >= q.max_deliveries and ALONE_AFTER + (job.lost_alone or 0) >= q.max_deliveries
end
