--@include context workers paused ready
-- Waking: a job that becomes ready wakes one idle worker that serves it, by a token on that worker's own list. A worker
-- whose wait is over (it died, or left) is passed over; what nobody comes for wakes others at the next reaping.
local WAKE_TTL_MS = 60000

local function wake_worker(q, worker_id)
  local list = q.prefix .. 'wake:' .. worker_id
  redis.call('RPUSH', list, '1')
  redis.call('PEXPIRE', list, WAKE_TTL_MS)
end

-- Wake up to `count` workers for jobs of one group; `last` is woken only where there is no other. Answers the name of
-- one that was woken, but for `last`.
local function wake(q, group, count, last)
  if paused_since(q, 'service', service_of(group)) then return nil end
  local another, kept = nil, {}
  for _, class in ipairs(classes(q)) do
    local idle, excluded = q.prefix .. 'idle:' .. class.name, serves(class.read, group)
    while count > 0 and excluded do
      local name, until_ms = unpack(redis.call('ZPOPMIN', idle))
      if not name then break end
      if excluded[name] or name == last then
        kept[#kept + 1] = { idle, until_ms, name, excluded[name] }
      elseif tonumber(until_ms) >= q.now then
        wake_worker(q, name)
        count, another = count - 1, name
      end
    end
  end
  for _, one in ipairs(kept) do
    if count > 0 and not one[4] then wake_worker(q, one[3]) else redis.call('ZADD', one[1], one[2], one[3]) end
  end
  return another
end

-- Jobs that nobody came for yet wake as many as there are of them.
local GROUPS_TOLD = 20

local function wake_others(q)
  for _, group in ipairs(ready_groups(q, GROUPS_TOLD)) do
    wake(q, group, redis.call('ZCARD', q.prefix .. 'ready:' .. group))
  end
end
