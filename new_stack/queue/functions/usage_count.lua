--@include context
-- usage_count: add what clients have used, by client and by day, and what a brown-out has refused them.
-- Keys: `ready`. Arguments: the terms; how many clients are kept; how many days; a list in MessagePack of {client,
-- {{way, agent, message, at in ms, how often}, …}, {{start of the brown-out, at in ms, jobs in flight}, …}}.
-- Reply: how many clients were forgotten to make room.
-- Invariant: nothing is kept of earlier days, nor of more clients. A client's record (`usage`: client → MessagePack) has
-- t: last use; w: way → {f: first day, n: uses by day, m: message → {uses, first, last}, a: the same by user agent};
-- b: {{start, last refusal, refusals, most jobs in flight, way of coming back, when}, …}. `usage:days` has by day what all
-- used together. Days are counted and uses told in s since the epoch, brown-outs in ms.
local DAY_MS = 86400000
local KEPT = { m = 32, a = 8 }
local BROWNOUTS_KEPT = 8
local LOOKED_AT = 16

local function least_recent(part)
  local found
  for key, use in pairs(part) do
    if not found or use[3] < part[found][3] then found = key end
  end
  return found
end

local function add(way, name, key, at, count)
  local part = way[name]
  local use = part[key]
  part[key] = use and { use[1] + count, math.min(use[2], at), math.max(use[3], at) } or { count, at, at }
  if use then return end
  local size = 0
  for _ in pairs(part) do size = size + 1 end
  if size > KEPT[name] then part[least_recent(part)] = nil end
end

local function add_day(way, day, count)
  way.f = way.f or day
  for _ = day, way.f - 1 do table.insert(way.n, 1, 0) end
  way.f = math.min(way.f, day)
  for index = #way.n + 1, day - way.f + 1 do way.n[index] = 0 end
  way.n[day - way.f + 1] = way.n[day - way.f + 1] + count
end

local function without_old(record, oldest)
  for name, way in pairs(record.w) do
    while way.n[1] and way.f < oldest do
      table.remove(way.n, 1)
      way.f = way.f + 1
    end
    if #way.n == 0 then record.w[name] = nil end
    for part in pairs(KEPT) do
      for key, use in pairs(way[part]) do
        if use[3] * 1000 < oldest * DAY_MS then way[part][key] = nil end
      end
    end
  end
end

local function refuse(record, start, at, in_flight)
  record.b = record.b or {}
  local last = record.b[#record.b]
  if not last or last[1] ~= start then
    last = { start, at, 0, 0, '', 0 }
    record.b[#record.b + 1] = last
    if #record.b > BROWNOUTS_KEPT then table.remove(record.b, 1) end
  end
  if last[5] == '' then last[2] = math.max(last[2], at) end
  last[3], last[4] = last[3] + 1, math.max(last[4], in_flight)
end

-- The first use after a refusal says how the client came back.
local function come_back(record, way, at)
  for _, brownout in ipairs(record.b or {}) do
    if brownout[5] == '' and at > brownout[2] then brownout[5], brownout[6] = way, at end
  end
end

-- Another server may have told already how a client came back that this one refused: by a use that is known as later.
local function look_back(record)
  for _, brownout in ipairs(record.b or {}) do
    for name, way in pairs(brownout[5] == '' and record.w or {}) do
      for message, use in pairs(way.m) do
        local at = use[3] * 1000
        local first = at > brownout[2] and (brownout[5] == '' or at < brownout[6])
        if first and message ~= 'refused' then brownout[5], brownout[6] = name, at end
      end
    end
  end
end

-- Of a few clients drawn at random the one that was silent the longest goes.
local function make_room(q, limit)
  local forgotten = 0
  while redis.call('HLEN', q.prefix .. 'usage') >= limit do
    local drawn = redis.call('HRANDFIELD', q.prefix .. 'usage', LOOKED_AT, 'WITHVALUES')
    local silent, since
    for index = 1, #drawn, 2 do
      local last = cmsgpack.unpack(drawn[index + 1]).t
      if not since or last < since then silent, since = drawn[index], last end
    end
    redis.call('HDEL', q.prefix .. 'usage', silent)
    if since * 1000 >= q.oldest * DAY_MS then forgotten = forgotten + 1 end
  end
  return forgotten
end

local function count_in(totals, day, name, count)
  totals[day] = totals[day] or {}
  totals[day][name] = (totals[day][name] or 0) + count
end

-- Uses and refusals in the order in which they were, so that each stands between its neighbours.
local function count_client(q, client, uses, refusals, totals)
  local packed = redis.call('HGET', q.prefix .. 'usage', client)
  local record = packed and cmsgpack.unpack(packed) or { t = 0, w = {} }
  local refused = 0
  local function refuse_until(at)
    while refusals[refused + 1] and refusals[refused + 1][2] <= at do
      refused = refused + 1
      refuse(record, unpack(refusals[refused]))
    end
  end
  for _, use in ipairs(uses) do
    local name, agent, message, at, count = unpack(use)
    refuse_until(at)
    at = math.min(at, q.now)
    local day, second = math.floor(at / DAY_MS), math.floor(at / 1000)
    if day >= q.oldest then
      local way = record.w[name] or { n = {}, m = {}, a = {} }
      record.w[name], record.t = way, math.max(record.t, second)
      add_day(way, day, count)
      add(way, 'm', message, second, count)
      add(way, 'a', agent, second, count)
      if message ~= 'refused' then come_back(record, name, at) end
      count_in(totals, day, name .. ' ' .. message, count)
    end
  end
  refuse_until(math.huge)
  if refused > 0 then look_back(record) end
  without_old(record, q.oldest)
  if not next(record.w) then return 0 end
  local forgotten = packed and 0 or make_room(q, q.clients)
  redis.call('HSET', q.prefix .. 'usage', client, cmsgpack.pack(record))
  return forgotten
end

local function save_totals(q, totals)
  local key = q.prefix .. 'usage:days'
  for day, counts in pairs(totals) do
    local packed = redis.call('HGET', key, day)
    local sum = packed and cmsgpack.unpack(packed) or {}
    for name, count in pairs(counts) do sum[name] = (sum[name] or 0) + count end
    redis.call('HSET', key, day, cmsgpack.pack(sum))
  end
  for _, day in ipairs(redis.call('HKEYS', key)) do
    if tonumber(day) < q.oldest then redis.call('HDEL', key, day) end
  end
end

adds('usage_count', function(q, args)
  q.clients = tonumber(args[1])
  local today, forgotten, totals = math.floor(q.now / DAY_MS), 0, {}
  q.oldest = today - tonumber(args[2]) + 1
  for _, client in ipairs(cmsgpack.unpack(args[3])) do
    forgotten = forgotten + count_client(q, client[1], client[2], client[3], totals)
  end
  if forgotten > 0 then count_in(totals, today, 'forgotten', forgotten) end
  save_totals(q, totals)
  return forgotten
end)
