--@include context serve paused
-- Workers. Those that serve the same are one class (`classes`: class → its text, see serve.lua).
-- `workers` and `workers:{class}` have each by the moment until which it counts as alive, `reports` what it said. A worker that found
-- less to claim than it has room for is idle until its wait ends: `idle:{class}`, by that moment.

local IDLE_LOOKED_AT = 100

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
  redis.call('HDEL', q.prefix .. 'paused', 'worker ' .. worker_id)
  redis.call('DEL', q.prefix .. 'signals:' .. worker_id, q.prefix .. 'wake:' .. worker_id)
  if not class then return end
  redis.call('ZREM', q.prefix .. 'idle:' .. class, worker_id)
  redis.call('ZREM', q.prefix .. 'workers:' .. class, worker_id)
  if redis.call('ZCARD', q.prefix .. 'workers:' .. class) == 0 then
    redis.call('HDEL', q.prefix .. 'classes', class)
  end
end

-- The classes, those that serve less first, so that who can do everything stays free the longest.
local function classes(q)
  if q.classes then return q.classes end
  local flat = redis.call('HGETALL', q.prefix .. 'classes')
  local found = {}
  for index = 1, #flat, 2 do
    local read = read_class(flat[index + 1])
    local weight = read.services == '*' and math.huge or #read.services
    found[#found + 1] = { name = flat[index], read = read, weight = weight }
  end
  table.sort(found, function(a, b)
    if a.weight ~= b.weight then return a.weight < b.weight end
    return a.name < b.name
  end)
  q.classes = found
  return found
end

-- Whether a worker other than this one serves the group, has a free place, and waits for work.
local function another_is_idle(q, worker_id, group)
  for _, class in ipairs(classes(q)) do
    local excluded = serves(class.read, group)
    if excluded then
      local looked_at = next(excluded) and IDLE_LOOKED_AT or 2
      local key = q.prefix .. 'idle:' .. class.name
      local idle = redis.call('ZRANGEBYSCORE', key, q.now, '+inf', 'LIMIT', 0, looked_at)
      for _, other in ipairs(idle) do
        if other ~= worker_id and not excluded[other] then return true end
      end
    end
  end
  return false
end
