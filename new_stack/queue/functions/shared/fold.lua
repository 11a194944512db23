--@include ready
-- Folds tallies (shared/tally.lua) into slots of three lengths: `slot:{seconds}:{number}` has, for each service, its name,
-- a line break and three lists: how many jobs were submitted, completed, failed, cancelled, and how many were ready at
-- the end; a sketch of the waits; one of the runs. A list is its length and its numbers, seven bits a byte, the least
-- first. A sketch is empty, or {level, first bucket, counts …}, in which 0 and a number leave out so many buckets. Each
-- level halves the number of buckets. Sketches add up; one that becomes too large goes on at the next level.
local SLOTS = {
  { seconds = 60, kept_s = 7 * 86400, sketch_bytes = 60 },
  { seconds = 600, kept_s = 2 * 86400, sketch_bytes = 72 },
  { seconds = 3600, kept_s = 90 * 86400, sketch_bytes = 72 },
}
local SERVICES_KEPT = 50
local OTHERS = '(others)'
local READY = 5
local WAIT, KINDS, NO_BUCKET = 5, 256, 255
local LEVELS, MOST = 8, 2 ^ 53

local function packed(numbers)
  local bytes = { #numbers }
  for _, number in ipairs(numbers) do
    while number >= 128 do
      bytes[#bytes + 1], number = number % 128 + 128, math.floor(number / 128)
    end
    bytes[#bytes + 1] = number
  end
  return string.char(unpack(bytes))
end

local function unpacked(text, at)
  local numbers, behind = {}, string.byte(text, at)
  at = at + 1
  for index = 1, behind do
    local byte, unit, number = string.byte(text, at), 1, 0
    while byte >= 128 do
      number, unit, at = number + (byte - 128) * unit, unit * 128, at + 1
      byte = string.byte(text, at)
    end
    numbers[index], at = number + byte * unit, at + 1
  end
  return numbers, at
end

local function read_sketch(sketch)
  local counts, at, index = {}, sketch[2], 3
  while index <= #sketch do
    if sketch[index] == 0 then
      at, index = at + sketch[index + 1], index + 2
    else
      counts[at], at, index = sketch[index], at + 1, index + 1
    end
  end
  return counts, sketch[1] or 0
end

local function sketch_of(counts, level)
  local first, last = math.huge, 0
  for at in pairs(counts) do first, last = math.min(first, at), math.max(last, at) end
  local sketch, gap = { level, first }, 0
  for at = first, last do
    if counts[at] then
      if gap > 0 then sketch[#sketch + 1], sketch[#sketch + 2] = 0, gap end
      sketch[#sketch + 1], gap = counts[at], 0
    else
      gap = gap + 1
    end
  end
  return sketch
end

local function halved(counts)
  local wider = {}
  for at, count in pairs(counts) do
    at = math.floor(at / 2)
    wider[at] = (wider[at] or 0) + count
  end
  return wider
end

-- Add the counts of buckets (of level 0) to a sketch.
local function sum_of(sketch, added, limit)
  if not next(added) then return sketch end
  local counts, level = read_sketch(sketch)
  for at, count in pairs(added) do
    at = math.floor(at / 2 ^ level)
    counts[at] = (counts[at] or 0) + count
  end
  local sum = sketch_of(counts, level)
  while #sum > limit or #packed(sum) > limit do
    counts, level = halved(counts), level + 1
    sum = sketch_of(counts, level)
  end
  return sum
end

-- What a service has in a slot; what there are too many of is kept together.
local function figures_of(slot, service)
  if slot.services[service] then return slot.services[service] end
  if slot.count >= SERVICES_KEPT and service ~= OTHERS then return figures_of(slot, OTHERS) end
  slot.count = slot.count + 1
  slot.services[service] = { { 0, 0, 0, 0, 0 }, {}, {} }
  return slot.services[service]
end

-- Raises an error where these are no figures that `packed` has written.
local function check_figures(figures)
  local fine = #figures[1] == READY
  for index, numbers in ipairs(figures) do
    for _, number in ipairs(numbers) do fine = fine and number < MOST end
    local counts, level = read_sketch(index > 1 and numbers or {})
    for at in pairs(counts) do fine = fine and at < KINDS and level <= LEVELS end
  end
  if not fine then error('no slot') end
end

local function slot_in(text)
  local slot, at = { services = {}, count = 0 }, 1
  while at <= #text do
    local line_end = string.find(text, '\n', at, true)
    local figures, service = {}, string.sub(text, at, line_end - 1)
    at = line_end + 1
    for index = 1, 3 do figures[index], at = unpacked(text, at) end
    check_figures(figures)
    slot.services[service], slot.count = figures, slot.count + 1
  end
  return slot
end

local function slot_of(q, slots, kind, minute)
  local key = string.format('%sslot:%d:%d', q.prefix, kind.seconds, math.floor(minute * 60 / kind.seconds))
  if not slots[key] then
    local fine, slot = pcall(slot_in, redis.pcall('GET', key) or '')
    slots[key] = fine and slot or slot_in('')  -- what nobody can read would fail each reaping
    slots[key].kept_s = kind.kept_s
  end
  return slots[key]
end

local function save_slots(slots)
  for key, slot in pairs(slots) do
    local text = {}
    for service, figures in pairs(slot.services) do
      text[#text + 1] = service .. '\n' .. packed(figures[1]) .. packed(figures[2]) .. packed(figures[3])
    end
    if #text > 0 then redis.call('SET', key, table.concat(text), 'EX', slot.kept_s) end
  end
end

-- Raises an error where it is no key, or no number of times, that shared/tally.lua writes.
local function check_counted(key, count)
  local known = key >= KINDS and key < (WAIT + 1) * KINDS and key % 1 == 0
  if not known or count < 1 or count >= MOST or count % 1 ~= 0 then error('no tally') end
end

local function sums_of(text)
  local sums, next_one, message = {}, 0, nil
  while #text > 0 and next_one >= 0 do
    next_one, message = cmsgpack.unpack_limit(text, 1, next_one)
    for service, counted in pairs(message) do
      local sum = sums[service] or {}
      sums[service] = sum
      for key, count in pairs(counted) do
        check_counted(key, count)
        sum[key] = (sum[key] or 0) + count
      end
    end
  end
  return sums
end

-- What a tally says: by service how often by key; nothing where nobody can read it.
local function read_tally(q, minute)
  local fine, sums = pcall(sums_of, redis.pcall('GET', q.prefix .. 'tally:' .. minute) or '')
  return fine and sums or {}
end

-- How many of each of the four, and two sets of buckets.
local function split(counted)
  local counts, waits, runs = { 0, 0, 0, 0 }, {}, {}
  for key, count in pairs(counted) do
    local what, bucket = math.floor(key / KINDS), key % KINDS
    local times = what == WAIT and waits or runs
    if what ~= WAIT then counts[what] = counts[what] + count end
    if bucket ~= NO_BUCKET then times[bucket] = (times[bucket] or 0) + count end
  end
  return counts, waits, runs
end

local function fold_tally(q, slots, minute)
  for service, counted in pairs(read_tally(q, minute)) do
    local counts, waits, runs = split(counted)
    for _, kind in ipairs(SLOTS) do
      local figures = figures_of(slot_of(q, slots, kind, minute), service_of(service))
      for at = 1, 4 do figures[1][at] = figures[1][at] + counts[at] end
      figures[2] = sum_of(figures[2], waits, kind.sketch_bytes)
      figures[3] = sum_of(figures[3], runs, kind.sketch_bytes)
    end
  end
  redis.call('UNLINK', q.prefix .. 'tally:' .. minute)
  redis.call('ZREM', q.prefix .. 'tallies', minute)
end

-- Fold the tally of one minute.
local function fold(q, minute)
  local slots = {}
  fold_tally(q, slots, minute)
  save_slots(slots)
end

-- How many jobs are ready for each service now: the backlog at the end of a minute, the largest in a longer slot.
local function sample_ready(q, slots, minute)
  local ready = {}
  for _, group in ipairs(ready_groups(q, 1000)) do
    local service = service_of(group)
    ready[service] = (ready[service] or 0) + redis.call('ZCARD', q.prefix .. 'ready:' .. group)
  end
  for service, count in pairs(ready) do
    for _, kind in ipairs(count > 0 and SLOTS or {}) do
      local figures = figures_of(slot_of(q, slots, kind, minute), service)
      figures[1][READY] = math.max(figures[1][READY], count)
    end
  end
end

-- Fold up to `limit` tallies of minutes that are over, and look at the backlog once a minute; how many were folded.
local function fold_due(q, limit)
  local minute, slots = math.floor(q.now / 60000) - 1, {}
  local due = redis.call('ZRANGEBYSCORE', q.prefix .. 'tallies', '-inf', minute, 'LIMIT', 0, limit)
  for _, one in ipairs(due) do fold_tally(q, slots, one) end
  if tonumber(redis.call('GET', q.prefix .. 'sampled') or 0) ~= minute then
    redis.call('SET', q.prefix .. 'sampled', minute)
    sample_ready(q, slots, minute)
  end
  save_slots(slots)
  return #due
end
