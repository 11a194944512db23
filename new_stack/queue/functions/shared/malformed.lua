-- A record that no rule can work with: a field is missing, or is of another type than the rules take it for.
local NEEDED = {
  state = 'string', service_required = 'string', priority = 'number', sequence = 'number', max_retries = 'number',
  attempt = 'number', failures = 'number', deliveries = 'number', created_at = 'number',
}
local OPTIONAL = {
  retry_policy = 'table', not_before = 'number', deadline_at = 'number', rank = 'number', group = 'string',
  claimed_at = 'number', offered_to = 'string', lost_alone = 'number', said = 'number', logs = 'table',
}

local function is_malformed(job)
  if type(job) ~= 'table' then return true end
  for field, kind in pairs(NEEDED) do
    if type(job[field]) ~= kind then return true end
  end
  for field, kind in pairs(OPTIONAL) do
    if job[field] ~= nil and type(job[field]) ~= kind then return true end
  end
  for field, value in pairs(job.retry_policy or {}) do
    if type(value) ~= (field == 'retry_on' and 'table' or 'number') then return true end
  end
  return false
end
