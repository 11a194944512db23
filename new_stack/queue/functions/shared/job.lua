--@include context
-- The record of a job, hash `job:{id}`, as the rules read it.
local STATES = { 'pending', 'claimed', 'completed', 'failed', 'cancelled' }

local FIELDS = {
  'state', 'service_required', 'priority', 'sequence', 'client_id', 'attempt', 'worker_id',
  'failures', 'max_retries', 'deliveries', 'failed_by', 'failed_attempt',
}

-- The job, or nil and why: 'missing' (no record) or 'malformed' (a record that no rule can work with).
local function read_job(q, id)
  local values = redis.pcall('HMGET', q.prefix .. 'job:' .. id, unpack(FIELDS))
  if values.err then return nil, 'malformed' end
  if not values[1] then
    if redis.call('EXISTS', q.prefix .. 'job:' .. id) == 0 then return nil, 'missing' end
    return nil, 'malformed'
  end
  local job = {
    id = id,
    state = values[1],
    service_required = values[2],
    priority = tonumber(values[3] or nil),
    sequence = tonumber(values[4] or nil),
    client_id = values[5] or '',
    attempt = tonumber(values[6] or nil),
    worker_id = values[7] or '',
    failures = tonumber(values[8] or nil),
    max_retries = tonumber(values[9] or nil),
    deliveries = tonumber(values[10] or nil),
    failed_by = values[11] or '',
    failed_attempt = tonumber(values[12] or nil) or 0,
  }
  if not (job.service_required and job.priority and job.sequence and job.attempt and job.failures
      and job.max_retries and job.deliveries) then
    return nil, 'malformed'
  end
  return job
end

-- Whether this worker holds this attempt of the job: the fencing rule.
local function holds(job, attempt, worker_id)
  return job and job.state == 'claimed' and job.attempt == attempt and job.worker_id == worker_id
end

-- Why a worker that does not hold the job is refused: 'cancelled' or 'lost'.
local function refusal(job, attempt)
  if job and job.state == 'cancelled' and job.attempt == attempt then return 'cancelled' end
  return 'lost'
end

-- Move the job between the indexes by state (`jobs:state:{state}`, by sequence: the listings).
local function change_state(q, job, state)
  redis.call('ZREM', q.prefix .. 'jobs:state:' .. job.state, job.id)
  redis.call('ZADD', q.prefix .. 'jobs:state:' .. state, job.sequence, job.id)
  job.state = state
end
