--@include malformed
-- How a record is kept: as MessagePack values, those that most jobs have by their places, and after them a map of what
-- else there is, nil where there is nothing. Names for all of them would take longer to write than what they name.
local OTHERS = {
  'client_id', 'group', 'rank', 'extra', 'retry_policy', 'not_before', 'deadline_at', 'payload_apart', 'result_apart',
  'progress', 'status_message', 'logs', 'said', 'said_by', 'lost_by', 'lost_alone', 'offered_to', 'failed_by',
  'failed_attempt', 'error', 'error_type', 'traceback', 'cancel_reason',
}

-- Most jobs have nothing else. To look at each name is dear, so those that come with no other are looked at first.
local function has_others(job)
  return job.client_id or job.extra or job.group or job.rank or job.retry_policy or job.not_before or job.payload_apart
    or job.result_apart or job.progress or job.status_message or job.logs or job.said or job.lost_by or job.lost_alone
    or job.offered_to or job.failed_by or job.error or job.cancel_reason
end

local function others_of(job)
  if not has_others(job) then return nil end
  local others = {}
  for index = 1, #OTHERS do others[OTHERS[index]] = job[OTHERS[index]] end
  return others
end

local function packed_record(job)
  return cmsgpack.pack(
    job.state, job.service_required, job.priority, job.sequence, job.max_retries, job.attempt, job.failures,
    job.deliveries, job.created_at, job.digest, job.submitted_id, job.payload, job.worker_id, job.claimed_at,
    job.claimed_id, job.ended_at, job.ended_id, job.result, job.streamed, others_of(job)
  )
end

-- The job; or an error, or false, where no rule can work with the record.
local function unpacked_record(raw)
  local state, service_required, priority, sequence, max_retries, attempt, failures, deliveries, created_at, digest,
    submitted_id, payload, worker_id, claimed_at, claimed_id, ended_at, ended_id, result, streamed, others =
    cmsgpack.unpack(raw)
  local job = {
    id = false, state = state, service_required = service_required, priority = priority, sequence = sequence,
    max_retries = max_retries, attempt = attempt, failures = failures, deliveries = deliveries, created_at = created_at,
    digest = digest, submitted_id = submitted_id, payload = payload, worker_id = worker_id, claimed_at = claimed_at,
    claimed_id = claimed_id, ended_at = ended_at, ended_id = ended_id, result = result, streamed = streamed,
  }
  if others then
    for index = 1, #OTHERS do job[OTHERS[index]] = others[OTHERS[index]] end
  end
  return is_sound(job) and (not others or has_sound_others(job)) and job
end

-- A job as it is submitted: `told` is what the submitter says of it. With room for what every submission adds.
local function new_job(told, id, digest, now, sequence)
  local job = {
    id = id, digest = digest, state = 'pending', created_at = now, sequence = sequence, attempt = 0, failures = 0,
    deliveries = 0, service_required = nil, priority = nil, max_retries = nil, payload = nil, submitted_id = nil,
  }
  for field, value in pairs(told) do
    if job[field] == nil then job[field] = value end
  end
  return job
end
