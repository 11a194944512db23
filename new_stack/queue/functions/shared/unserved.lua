--@include context ready alive paused
-- Jobs that nobody alive serves wait; `unserved` has their groups, and since when. Kept by whoever reaps, for the
-- services and the signatures that are next in line.
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

-- Since when nobody alive takes what is in this group, or nil: a worker that came since the last reaping ends it at once.
local function unserved_since(q, group)
  local since = redis.call('HGET', q.prefix .. 'unserved', group)
  return since and alive_for(q, group) == 0 and since or nil
end

-- By service what nobody alive takes: {its name, since when, how many jobs, '' or, where live workers do serve it, one of
-- the jobs, which asks for more than any of them has}.
local function unserved_services(q)
  local by_service, found = {}, {}
  for _, group in ipairs(redis.call('HKEYS', q.prefix .. 'unserved')) do
    local since = tonumber(unserved_since(q, group))
    local service, ready = service_of(group), q.prefix .. 'ready:' .. group
    local row = by_service[service]
    if since and not row then
      row = { service, since, 0, '' }
      by_service[service], found[#found + 1] = row, row
      row.served = alive_for(q, service) > 0
    end
    if since and since <= row[2] then
      local next_one = row.served and redis.call('ZRANGE', ready, 0, 0, 'REV')[1]
      row[2], row[4] = since, next_one and id_of(next_one) or ''
    end
    if since then row[3] = row[3] + redis.call('ZCARD', ready) end
  end
  for _, row in ipairs(found) do row[2] = string.format('%.0f', row[2]) end
  return found
end

-- Why a job waits though it is its turn: since when nobody takes it, since when its service is paused.
local function note_why(q, job)
  if job.state ~= 'pending' then return end
  local since = unserved_since(q, group_of(job))
  job.unserved_since = since and position(q, job) > 0 and since or nil
  job.paused_since = paused_since(q, 'service', job.service_required)
end
