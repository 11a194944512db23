--@include context job events pending finish
-- cancel: end a job as cancelled, wherever it is, and tell the worker that holds it.
-- Keys: `jobs:pending`. Arguments: the terms; job id; reason.
-- Reply: {'cancelled', the record}, {'refused', its state} or {'missing'}.
-- Invariant: from here on nothing of the job's old attempt is accepted. A repeat changes nothing.
local SIGNALS_KEPT = 1000
local SIGNALS_TTL_MS = 60000

local function signal(q, job)
  local list = q.prefix .. 'worker:' .. job.worker_id .. ':signals'
  redis.call('RPUSH', list, job.attempt .. ' ' .. job.id)
  redis.call('LTRIM', list, -SIGNALS_KEPT, -1)
  redis.call('PEXPIRE', list, SIGNALS_TTL_MS)
end

redis.register_function{
  function_name = 'hubgate_cancel',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    local id, reason = args[q.first], args[q.first + 1]
    local job = read_job(q, id)
    if not job then return { 'missing' } end
    if job.state == 'completed' or job.state == 'failed' then return { 'refused', job.state } end
    if job.state ~= 'cancelled' then
      local worker = { 'message', reason }
      if job.state == 'pending' and not leave_pending(q, job) then
        redis.call('ZREM', q.prefix .. 'jobs:delayed', id)
      elseif job.state == 'claimed' then
        signal(q, job)
        worker = { 'message', reason, 'worker_id', job.worker_id }
      end
      finish(q, job, 'cancelled', 'cancel_reason', reason)
      settle_wake(q)
      emit(q, job, 'cancelled', worker)
    end
    return { 'cancelled', redis.call('HGETALL', q.prefix .. 'job:' .. id) }
  end,
}
