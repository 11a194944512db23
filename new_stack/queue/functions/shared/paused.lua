--@include context
-- Who takes no new jobs for now, because somebody said so: `paused` has 'service NAME' and 'worker ID', and the ms since
-- when. Read once a call.
local function paused_since(q, kind, name)
  if not q.paused then
    q.paused = {}
    local flat = redis.call('HGETALL', q.prefix .. 'paused')
    for index = 1, #flat, 2 do q.paused[flat[index]] = flat[index + 1] end
  end
  return q.paused[kind .. ' ' .. name]
end

-- The workers that are being drained.
local function drained_workers(q)
  paused_since(q, 'worker', '')
  local found = {}
  for name in pairs(q.paused) do found[#found + 1] = string.match(name, '^worker (.*)$') end
  return found
end

-- The services that are paused: {name, since when, …}.
local function paused_services(q)
  paused_since(q, 'service', '')
  local found = {}
  for name, at in pairs(q.paused) do
    local service = string.match(name, '^service (.*)$')
    if service then found[#found + 1], found[#found + 2] = service, at end
  end
  return found
end
