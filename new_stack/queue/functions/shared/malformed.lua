-- A record that no rule can work with: a field is missing, or is of another type than the rules take it for.
--
-- Every read of a record comes here, so no type is asked for, which is a call: a field is compared with a value of its
-- type, which raises an error where they differ. What is false counts as absent, as it does for the rules.
local LARGEST = 1 / 0  -- there is no math while a library is loaded

local function has_sound_tables(job)
  for field, value in pairs(job.retry_policy or {}) do
    if type(value) ~= (field == 'retry_on' and 'table' or 'number') then return false end
    for _, pattern in ipairs(field == 'retry_on' and value or {}) do
      if type(pattern) ~= 'string' then return false end
    end
  end
  return not job.logs or type(job.logs) == 'table'
end

-- Whether the rules can work with what most jobs have, and with the rest. Raise an error, or answer false, where they
-- cannot.
local function is_sound(job)
  return job.state >= '' and job.service_required >= '' and job.priority <= LARGEST and job.sequence <= LARGEST
    and job.max_retries <= LARGEST and job.attempt <= LARGEST and job.failures <= LARGEST and job.deliveries <= LARGEST
    and job.created_at <= LARGEST and (job.state ~= 'claimed' or (job.claimed_at and job.worker_id))
    and (job.claimed_at or 0) <= LARGEST and (job.worker_id or '') >= '' and (job.payload or '') >= ''
end

local function has_sound_others(job)
  return (job.not_before or 0) <= LARGEST and (job.deadline_at or 0) <= LARGEST and (job.rank or 0) <= LARGEST
    and (job.lost_alone or 0) <= LARGEST and (job.said or 0) <= LARGEST
    and (job.group or '') >= '' and (job.client_id or '') >= '' and (job.extra or '') >= ''
    and (job.offered_to or '') >= '' and (job.lost_by or '') >= '' and (job.error or '') >= ''
    and (job.error_type or '') >= '' and (job.traceback or '') >= ''
    and (not (job.retry_policy or job.logs) or has_sound_tables(job))
end
