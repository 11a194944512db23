--@include context
-- Workers. Those that serve the same services are one class (`classes`: class → services, one a line, or '*').
-- `workers` and `workers:{class}` have each by the moment until which it counts as alive, `reports` what it said. A worker that found
-- less to claim than it has room for is idle until its wait ends: `idle:{class}`, by that moment.

-- A worker says that it is alive and what it is doing.
local function beat(q, worker_id, class, services, report)
  local alive_until = q.now + q.heartbeat_ttl_ms
  redis.call('ZADD', q.prefix .. 'workers', alive_until, worker_id)
  redis.call('ZADD', q.prefix .. 'workers:' .. class, alive_until, worker_id)
  redis.call('HSETNX', q.prefix .. 'classes', class, services)
  local known = redis.call('HGET', q.prefix .. 'reports', worker_id)
  local since = known and string.match(known, '^%d+') or q.now
  redis.call('HSET', q.prefix .. 'reports', worker_id, since .. ' ' .. q.now .. ' ' .. class .. ' ' .. report)
end

-- What is kept of a worker's report: since when it is known, when it was last heard of, its class, and what it said.
local function parts_of(report)
  return string.match(report or '', '^(%d+) (%d+) (%S+) (.*)$')
end

local function forget_worker(q, worker_id)
  local _, _, class = parts_of(redis.call('HGET', q.prefix .. 'reports', worker_id))
  redis.call('ZREM', q.prefix .. 'workers', worker_id)
  redis.call('HDEL', q.prefix .. 'reports', worker_id)
  redis.call('DEL', q.prefix .. 'signals:' .. worker_id, q.prefix .. 'wake:' .. worker_id)
  if not class then return end
  redis.call('ZREM', q.prefix .. 'idle:' .. class, worker_id)
  redis.call('ZREM', q.prefix .. 'workers:' .. class, worker_id)
  if redis.call('ZCARD', q.prefix .. 'workers:' .. class) == 0 then
    redis.call('HDEL', q.prefix .. 'classes', class)
  end
end

-- Whether workers with these services take jobs of this group.
local function serves(services, group)
  if services == '*' then return true end
  local service = string.match(group, '^[^\n]*')
  return string.find('\n' .. services .. '\n', '\n' .. service .. '\n', 1, true) ~= nil
end

-- The classes, those that serve less first, so that who can do everything stays free the longest.
local function classes(q)
  if q.classes then return q.classes end
  local flat = redis.call('HGETALL', q.prefix .. 'classes')
  local found = {}
  for index = 1, #flat, 2 do found[#found + 1] = { name = flat[index], services = flat[index + 1] } end
  table.sort(found, function(a, b)
    local left = a.services == '*' and math.huge or #a.services
    local right = b.services == '*' and math.huge or #b.services
    if left ~= right then return left < right end
    return a.name < b.name
  end)
  q.classes = found
  return found
end

-- How many workers that serve the group are alive.
local function alive_for(q, group)
  local alive = 0
  for _, class in ipairs(classes(q)) do
    if serves(class.services, group) then
      alive = alive + redis.call('ZCOUNT', q.prefix .. 'workers:' .. class.name, q.now, '+inf')
    end
  end
  return alive
end

-- Whether a worker other than this one serves the group, has a free place, and waits for work.
local function another_is_idle(q, worker_id, group)
  for _, class in ipairs(classes(q)) do
    if serves(class.services, group) then
      local idle = redis.call('ZRANGEBYSCORE', q.prefix .. 'idle:' .. class.name, q.now, '+inf', 'LIMIT', 0, 2)
      for _, other in ipairs(idle) do
        if other ~= worker_id then return true end
      end
    end
  end
  return false
end
