--@include context record ready alive paused
-- overview: how much waits for each service, since when, and for how many live workers; which leases are about to run out.
-- Keys: `ready`. Arguments: how many services at most; the ms within which a lease runs out that is about to; how many
-- such leases at most.
-- Reply: {the time, for each service {its name, how many jobs are ready, when the oldest of them was submitted or '',
-- how many live workers serve it}, for each lease {job id, worker id, service, when it runs out}}.
-- Invariant: changes nothing. Services are those with ready jobs, those that workers name, and paused ones.
local PRIORITIES_LOOKED_AT = 20

-- The oldest ready job of a group is the first one of its priority; which priority that is nothing tells.
local function oldest_of(q, group)
  local key, oldest = q.prefix .. 'ready:' .. group, math.huge
  local lowest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  for _ = 1, PRIORITIES_LOOKED_AT do
    if not lowest[1] then break end
    local bound = string.format('%.0f', math.ceil(tonumber(lowest[2]) / SEQUENCES) * SEQUENCES)
    local first = redis.call('ZREVRANGEBYSCORE', key, bound, '-inf', 'LIMIT', 0, 1)
    local job = first[1] and read_job(q, id_of(first[1]))
    if job then oldest = math.min(oldest, job.created_at) end
    lowest = redis.call('ZRANGEBYSCORE', key, '(' .. bound, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  end
  return oldest
end

local function services_of(q, limit)
  local found, names = {}, {}
  local function load_of(service)
    if not found[service] and #names < limit then
      found[service], names[#names + 1] = { 0, math.huge }, service
    end
    return found[service]
  end
  for _, group in ipairs(ready_groups(q, limit)) do
    local ready, load = redis.call('ZCARD', q.prefix .. 'ready:' .. group), load_of(service_of(group))
    if load and ready > 0 then load[1], load[2] = load[1] + ready, math.min(load[2], oldest_of(q, group)) end
  end
  for _, class in ipairs(classes(q)) do
    for name in string.gmatch(class.read.services, '[^\n]+') do
      if name ~= '*' then load_of(name) end
    end
  end
  local paused = paused_services(q)
  for index = 1, #paused, 2 do load_of(paused[index]) end
  return names, found
end

local function leases_until(q, latest, limit)
  local rows = {}
  local due = redis.call('ZRANGEBYSCORE', q.prefix .. 'leases', '-inf', latest, 'WITHSCORES', 'LIMIT', 0, limit)
  for index = 1, #due, 2 do
    local job = read_job(q, due[index])
    if job then rows[#rows + 1] = { job.id, job.worker_id or '', job.service_required, due[index + 1] } end
  end
  return rows
end

reads('overview', function(q, args)
  local names, found = services_of(q, tonumber(args[1]))
  local services = {}
  for index, name in ipairs(names) do
    local ready, oldest = unpack(found[name])
    services[index] = { name, ready, oldest < math.huge and oldest or '', alive_for(q, name) }
  end
  return { q.now, services, leases_until(q, q.now + tonumber(args[2]), tonumber(args[3])) }
end)
