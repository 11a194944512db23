--@include context
-- Notify the worker that holds a job that it was cancelled, by the list on which that worker waits for signals.
local SIGNALS_KEPT = 1000
local SIGNALS_TTL_MS = 60000

local function signal(q, job)
  local list = q.prefix .. 'signals:' .. job.worker_id
  redis.call('RPUSH', list, job.attempt .. ' ' .. job.id)
  redis.call('LTRIM', list, -SIGNALS_KEPT, -1)
  redis.call('PEXPIRE', list, SIGNALS_TTL_MS)
end
