--@include record events ready tally
-- A malformed record must not stop the rest: whoever meets it takes it out of what led there. It is listed in `malformed`,
-- replaced by one that says so, and its followers hear that it failed. One that is gone leaves the listing, too.
local NO_GROUP = 'unknown'

local function set_aside(q, id, group, why)
  if why == 'missing' then redis.call('ZREM', q.prefix .. 'jobs', id) end
  if why ~= 'malformed' then return end
  redis.call('SADD', q.prefix .. 'malformed', id)
  local job = {
    id = id, state = 'failed', service_required = service_of(group), priority = 0, attempt = 0,
    sequence = tonumber(redis.call('ZSCORE', q.prefix .. 'jobs', id) or 0), max_retries = 0, failures = 0, deliveries = 0,
    created_at = q.now, ended_at = q.now, error = 'its record in Redis is malformed',
    streamed = redis.call('EXISTS', q.prefix .. 'events:' .. id) == 1 or nil,
  }
  redis.call('ZADD', q.prefix .. 'ended', q.now, id)
  redis.call('ZADD', q.prefix .. 'failed', job.sequence, id)
  tally(q, job.service_required, ENDED.failed)
  emit(q, job, 'failed', { 'error', job.error })
  save_job(q, job)
end
