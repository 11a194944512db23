--@include context ready alive
-- Jobs that nobody alive serves wait; `unserved` has their groups, and since when. Kept by whoever reaps.
local GROUPS_LOOKED_AT = 1000

local function note_unserved(q)
  local known = {}
  local flat = redis.call('HGETALL', q.prefix .. 'unserved')
  for index = 1, #flat, 2 do known[flat[index]] = true end
  for _, group in ipairs(ready_groups(q, GROUPS_LOOKED_AT)) do
    local waits = redis.call('ZCARD', q.prefix .. 'ready:' .. group) > 0 and alive_for(q, group) == 0
    if waits and not known[group] then redis.call('HSET', q.prefix .. 'unserved', group, q.now) end
    if waits then known[group] = nil end
    if redis.call('ZCARD', q.prefix .. 'ready:' .. group) == 0 then redis.call('ZREM', bounds_of(q, group), group) end
  end
  for group in pairs(known) do redis.call('HDEL', q.prefix .. 'unserved', group) end
end

-- The services that nobody alive serves: {name, since when, …}.
local function unserved_services(q)
  local since, found = {}, {}
  local flat = redis.call('HGETALL', q.prefix .. 'unserved')
  for index = 1, #flat, 2 do
    local service, at = service_of(flat[index]), tonumber(flat[index + 1])
    since[service] = math.min(since[service] or at, at)
  end
  for service, at in pairs(since) do found[#found + 1], found[#found + 2] = service, string.format('%.0f', at) end
  return found
end
