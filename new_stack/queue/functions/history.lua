--@include context events
-- history: the events of one job, oldest first.
-- Keys: `ready`. Arguments: job id; the stream id after which to begin; how many at most; inline_result_limit.
-- Reply: entries as XRANGE has them.
-- Invariant: changes nothing. A job without a stream of its own has the events that its record remembers.
local function parts(id)
  local ms, number = string.match(id, '^(%d+)-?(%d*)$')
  return tonumber(ms or 0), tonumber(number ~= '' and number or 0)
end

local function is_later(id, than)
  local ms, number = parts(id)
  local other_ms, other_number = parts(than)
  return ms > other_ms or (ms == other_ms and number > other_number)
end

reads('history', function(q, args)
  q.inline_result_limit = tonumber(args[4])
  local entries = redis.call('XRANGE', q.prefix .. 'events:' .. args[1], '(' .. args[2], '+', 'COUNT', args[3])
  if #entries > 0 then return entries end
  local job = read_job(q, args[1])
  if not job or (job.streamed and redis.call('EXISTS', q.prefix .. 'events:' .. args[1]) == 1) then return {} end
  if job.streamed then job.submitted_id, job.claimed_id = nil, nil end  -- what came between is gone: only the end
  local found = {}
  for _, event in ipairs(remembered(q, job)) do
    if is_later(event[1], args[2]) and #found < tonumber(args[3]) then found[#found + 1] = event end
  end
  return found
end)
