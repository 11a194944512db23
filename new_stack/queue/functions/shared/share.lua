--@include ready workers
-- A claim takes its share, not every place: what is left is for the others that wait.
local function share_of(q, count)
  local alive = redis.call('ZCOUNT', q.prefix .. 'workers', q.now, '+inf')
  local ready = pending_count(q) - redis.call('ZCARD', q.prefix .. 'delayed')
  return math.min(count, math.max(1, math.ceil(ready / math.max(1, alive))))
end

local function share_of_group(q, group)
  local ready = redis.call('ZCARD', q.prefix .. 'ready:' .. group) + 1
  return math.max(1, math.ceil(ready / math.max(1, alive_for(q, group))))
end
