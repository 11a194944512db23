--@include context fold
-- Counts what happens to jobs in the same step as it happens, at the price of one APPEND a call: `tally:{minute}` has,
-- for each call and service, the service, a line break, pairs of bytes, and a zero. A pair is one of SUBMITTED, COMPLETED,
-- FAILED, CANCELLED with how many; or WAIT or RUN with a bucket of ms: of the wait of a job's first claim, of the run of
-- the attempt that ended it. shared/fold.lua makes slots of it once the minute is over, or the string is long.
-- `tallies` has the minutes of those that are there.
local TALLY_BYTES = 32768
local MINUTE_MS = 60000
local SUBMITTED, WAIT, RUN = 1, 5, 6
local OCTAVE_PART = 0.6931471805599453 / 8  -- ln 2 / 8: there is no math while a library is loaded
local ENDED = { completed = 2, failed = 3, cancelled = 4 }

-- A bucket is an eighth of an octave wide; the first one is for less than 1 ms, the last one for more than 12 days.
local function bucket_of(ms)
  if ms < 1 then return 0 end
  return math.min(241, 1 + math.floor(math.log(ms) / OCTAVE_PART))
end

local function save_tallies(q)
  local text = ''
  for service, pairs_of_bytes in pairs(q.tallies) do text = text .. service .. '\n' .. pairs_of_bytes .. '\0' end
  local minute = math.floor(q.now / MINUTE_MS)
  local size = redis.call('APPEND', q.prefix .. 'tally:' .. minute, text)
  if size == #text then redis.call('ZADD', q.prefix .. 'tallies', minute, minute) end
  if size > TALLY_BYTES then fold(q, minute) end
end

-- Count once more; all that a call counts is saved at its end.
local function tally(q, service, what, value)
  q.tallies, q.at_end = q.tallies or {}, save_tallies
  q.tallies[service] = (q.tallies[service] or '') .. string.char(what, value)
end
