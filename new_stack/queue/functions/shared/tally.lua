--@include context fold
-- Counts what happens to jobs in the same step as it happens, at the price of one APPEND a call: `tally:{minute}` has,
-- for each call, what it counted as MessagePack: by service how often by key. A key is what was counted, times KINDS, and
-- a bucket of ms: of the wait of a job's first claim (WAIT); of the run of the attempt that ended it (COMPLETED, FAILED,
-- CANCELLED), where one did; there is none to SUBMITTED. shared/fold.lua makes slots of it once the minute is over, or the
-- string is long. `tallies` has the minutes of those that are there.
local TALLY_BYTES = 16384
local MINUTE_MS = 60000
local SUBMITTED = 1
local ENDED = { completed = 2, failed = 3, cancelled = 4 }
local OCTAVE_PART = 0.6931471805599453 / 8  -- ln 2 / 8: there is no math while a library is loaded

-- A bucket is an eighth of an octave wide; the first one is for less than 1 ms, the last one for more than 12 days.
local function bucket_of(ms)
  if ms < 1 then return 0 end
  return math.min(241, 1 + math.floor(math.log(ms) / OCTAVE_PART))
end

-- What the call at hand has counted, and what it counted last, so often in a row: jobs that are claimed or ended together
-- have mostly waited and run equally long. It stands here and not in `q` because every job looks at it, twice; what a call
-- has counted that raised an error is dropped.
local counting, tallies
local last_service, last_what, last_ms, times

local function add_last()
  local counted = tallies[last_service] or {}
  local key = last_what * KINDS + (last_ms and bucket_of(last_ms) or NO_BUCKET)
  tallies[last_service], counted[key] = counted, (counted[key] or 0) + times
end

local function save_tallies(q)
  add_last()
  local minute = math.floor(q.now / MINUTE_MS)
  local text = cmsgpack.pack(tallies)
  local size = redis.call('APPEND', q.prefix .. 'tally:' .. minute, text)
  if size == #text then redis.call('ZADD', q.prefix .. 'tallies', minute, minute) end
  if size > TALLY_BYTES then fold(q, minute) end
end

-- Count once more, with the ms that it took where it took any; all that a call counts is saved at its end.
local function tally(q, service, what, ms)
  if q == counting then
    if service == last_service and what == last_what and ms == last_ms then
      times = times + 1
      return
    end
    add_last()
  else
    counting, tallies, q.at_end = q, {}, save_tallies
  end
  last_service, last_what, last_ms, times = service, what, ms, 1
end
