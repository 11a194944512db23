--@include context record ready filter unserved
-- list: one page of jobs, newest first, those that match every filter.
-- Keys: `ready`. Arguments: what fields of the record have to be (MessagePack); a text that stands in the id, the client
-- id or the error ('' for any); the sequence number below which to look ('+inf' to begin); how many; how many to look at;
-- how many bytes; '1' to leave out bodies (payload, result, own fields, log, traceback).
-- Reply: {the sequence number to go on below, or '' on the last page; the records' rows; how many were looked at}. A
-- page may be short and yet not the last: the work of one call is bounded.
-- Invariant: changes nothing; filters first, then cuts, so no page hides a job.
local LIST_PAGE = 100
local GATHERED = 1000

-- Where the jobs of a state have an index by sequence; all others are found among all jobs.
local INDEXES = { failed = 'failed', cancelled = 'cancelled' }

local function by_sequence(a, b) return a[2] > b[2] end

-- Where few are in a state that has no index: all of them below the cursor, as {id, sequence}, newest first; nil where
-- they are many.
local function gathered(q, state, cursor)
  local sets = state == 'claimed' and { 'leases' } or state == 'pending' and { 'delayed' }
  if not sets then return nil end
  if state == 'pending' then
    for _, group in ipairs(ready_groups(q, 0)) do sets[#sets + 1] = 'ready:' .. group end
  end
  local found, top, held = {}, tonumber(cursor) or math.huge, 0
  for _, set in ipairs(sets) do
    held = held + redis.call('ZCARD', q.prefix .. set)
    if held > GATHERED then return nil end
    for _, member in ipairs(redis.call('ZRANGE', q.prefix .. set, 0, -1)) do
      local id = string.sub(set, 1, 6) == 'ready:' and id_of(member) or member
      local sequence = tonumber(redis.call('ZSCORE', q.prefix .. 'jobs', id) or math.huge)
      if sequence < top then found[#found + 1] = { id, sequence } end
    end
  end
  table.sort(found, by_sequence)
  return found
end

-- The next jobs of an index below the cursor, as {id, sequence}, newest first.
local function below(q, index, cursor)
  local found = {}
  local bounds = { '(' .. cursor, '-inf', 'WITHSCORES', 'LIMIT', 0, LIST_PAGE }
  local rows = redis.call('ZREVRANGEBYSCORE', q.prefix .. index, unpack(bounds))
  for at = 1, #rows, 2 do found[#found + 1] = { rows[at], tonumber(rows[at + 1]) } end
  return found
end

reads('list', function(q, args)
  local wanted, text, cursor = cmsgpack.unpack(args[1]), string.lower(args[2]), args[3]
  local limit, inspect, bytes = tonumber(args[4]), tonumber(args[5]), tonumber(args[6])
  local few = gathered(q, wanted.state, cursor)
  local shown = args[7] == '1' and summary_of or row_of
  local page, looked_at = {}, 0
  while true do
    local found = few or below(q, INDEXES[wanted.state] or 'jobs', cursor)
    for _, one in ipairs(found) do
      local job = read_job(q, one[1])
      looked_at = looked_at + 1
      if job and is_wanted(job, wanted, text) then
        note_why(q, job)
        local row = shown(q, job)
        page[#page + 1] = row
        bytes = bytes - #row[2] - #row[3] - #row[4]
      end
      cursor = string.format('%.0f', one[2])
      if #page >= limit or looked_at >= inspect or bytes <= 0 then return { cursor, page, looked_at } end
    end
    if few or #found == 0 then return { '', page, looked_at } end
  end
end)
