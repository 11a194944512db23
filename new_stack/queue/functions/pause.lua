--@include context paused workers wake ready
-- pause: nobody claims jobs of a service any more, or a worker claims nothing; until that is undone. What runs goes on.
-- Keys: `ready`. Arguments: the terms; 'service' or 'worker'; its name; '1' to pause, '' to resume.
-- Reply: the ms since when it is paused, or '' where it is not (any more); 'missing' for a worker that is not known.
-- Invariant: a repeat changes nothing; no job that somebody was woken for is left standing.
local GROUPS_LOOKED_AT = 1000

local function pass_on(q, worker_id)
  local _, _, class = parts_of(redis.call('HGET', q.prefix .. 'reports', worker_id))
  redis.call('ZREM', q.prefix .. 'idle:' .. class, worker_id)
  local woken = redis.call('LLEN', q.prefix .. 'wake:' .. worker_id)
  redis.call('DEL', q.prefix .. 'wake:' .. worker_id)
  if woken > 0 then wake_others(q) end
end

local function wake_for_service(q, service)
  for _, group in ipairs(ready_groups(q, GROUPS_LOOKED_AT)) do
    if service_of(group) == service then wake(q, group, redis.call('ZCARD', q.prefix .. 'ready:' .. group)) end
  end
end

changes('pause', function(q, args)
  local kind, name, wanted = args[1], args[2], args[3] == '1'
  if kind == 'worker' and redis.call('HEXISTS', q.prefix .. 'reports', name) == 0 then return 'missing' end
  local since = paused_since(q, kind, name)
  if wanted then
    if since then return since end
    since = string.format('%.0f', q.now)
    redis.call('HSET', q.prefix .. 'paused', kind .. ' ' .. name, since)
    if kind == 'worker' then pass_on(q, name) end
    return since
  end
  if since then
    redis.call('HDEL', q.prefix .. 'paused', kind .. ' ' .. name)
    q.paused = nil
    if kind == 'worker' then wake_worker(q, name) else wake_for_service(q, name) end
  end
  return ''
end)
