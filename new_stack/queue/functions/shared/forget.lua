--@include context
-- Ended jobs, forgotten with all that is kept of them.
local function forget(q, ids)
  local keys = {}
  for _, id in ipairs(ids) do
    for _, kind in ipairs({ 'record:', 'payload:', 'result:', 'events:' }) do
      keys[#keys + 1] = q.prefix .. kind .. id
    end
  end
  redis.call('UNLINK', unpack(keys))
  for _, index in ipairs({ 'ended', 'jobs', 'failed', 'cancelled' }) do
    redis.call('ZREM', q.prefix .. index, unpack(ids))
  end
end
