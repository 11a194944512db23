--@include context job
-- list: one page of jobs, newest first, those that match every filter.
-- Keys: `jobs:pending`. Arguments: state, service_required, worker id ('' for any); the sequence number below which
-- to look ('+inf' to begin); how many; how many to look at; how many bytes.
-- Reply: {the sequence number to go on below, or '' on the last page; the records}. A page may be short and yet not
-- the last: the work of one call is bounded.
-- Invariant: changes nothing; filters first, then cuts, so no page hides a job.
local LIST_PAGE = 100

-- The newest `LIST_PAGE` jobs below `cursor` in any of the states, as {id, sequence}, newest first.
local function newest(q, states, cursor)
  local found = {}
  for _, state in ipairs(states) do
    local rows = redis.call('ZREVRANGEBYSCORE', q.prefix .. 'jobs:state:' .. state, cursor, '-inf', 'WITHSCORES',
      'LIMIT', 0, LIST_PAGE)
    for index = 1, #rows, 2 do
      found[#found + 1] = { rows[index], tonumber(rows[index + 1]) }
    end
  end
  table.sort(found, function(a, b) return a[2] > b[2] end)
  return found
end

local function record(q, id, service, worker_id)
  local key = q.prefix .. 'job:' .. id
  local facts = redis.pcall('HMGET', key, 'service_required', 'worker_id')
  if facts.err or not facts[1] then return nil end
  if service ~= '' and facts[1] ~= service then return nil end
  if worker_id ~= '' and facts[2] ~= worker_id then return nil end
  return redis.call('HGETALL', key)
end

local function size(fields)
  local total = 0
  for index = 1, #fields do total = total + #fields[index] end
  return total
end

redis.register_function{
  function_name = 'hubgate_list',
  flags = { 'no-writes', 'allow-stale' },
  callback = function(keys, args)
    local q = open_reader(keys)
    local states = args[1] ~= '' and { args[1] } or STATES
    local limit, inspect, bytes = tonumber(args[5]), tonumber(args[6]), tonumber(args[7])
    local cursor = args[4] == '+inf' and '+inf' or '(' .. args[4]
    local page = {}
    while true do
      local found = newest(q, states, cursor)
      if #found == 0 then return { '', page } end
      for index = 1, math.min(#found, LIST_PAGE) do
        local fields = record(q, found[index][1], args[2], args[3])
        inspect = inspect - 1
        if fields then
          page[#page + 1] = { found[index][1], fields }
          bytes = bytes - size(fields)
        end
        local below = string.format('%.0f', found[index][2])
        cursor = '(' .. below
        if #page >= limit or inspect <= 0 or bytes <= 0 then return { below, page } end
      end
    end
  end,
}
