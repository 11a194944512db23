--@include context fold
-- Counts what happens to jobs in the same step as it happens, at the price of one APPEND a call: `tally:{minute}` has,
-- for each call and service, the service, a line break, two bytes with the number of triples that follow (the lower one
-- first), and triples of bytes: what was counted, a bucket of ms, how often. SUBMITTED has no bucket; WAIT that of the
-- wait of a job's first claim; an end (COMPLETED, FAILED, CANCELLED) that of the run of the attempt that ended it, where
-- one did. shared/fold.lua makes slots of it once the minute is over, or the string is long. `tallies` has the minutes of
-- those that are there.
local TALLY_BYTES = 16384
local MINUTE_MS = 60000
local SUBMITTED = 1
local ENDED = { completed = 2, failed = 3, cancelled = 4 }
local OCTAVE_PART = 0.6931471805599453 / 8  -- ln 2 / 8: there is no math while a library is loaded

-- A bucket is an eighth of an octave wide; the first one is for less than 1 ms, the last one for more than 12 days.
-- Those of short times are remembered: a logarithm costs as much as all else that is done to count.
local LAST_BUCKET = 241
local SHORT_MS = 1024
local buckets = {}

local function bucket_of(ms)
  local bucket = buckets[ms]
  if bucket then return bucket end
  bucket = ms < 1 and 0 or math.min(LAST_BUCKET, 1 + math.floor(math.log(ms) / OCTAVE_PART))
  if ms >= 0 and ms < SHORT_MS and ms % 1 == 0 then buckets[ms] = bucket end
  return bucket
end

local function triples_of(counted)
  local text, number = '', 0
  for key, count in pairs(counted) do
    local what, bucket = math.floor(key / 256), key % 256
    while count > 0 do
      text, number = text .. string.char(what, bucket, math.min(count, 255)), number + 1
      count = count - 255
    end
  end
  return string.char(number % 256, math.floor(number / 256)) .. text
end

local function save_tallies(q)
  local text = ''
  for service, counted in pairs(q.tallies) do text = text .. service_of(service) .. '\n' .. triples_of(counted) end
  local minute = math.floor(q.now / MINUTE_MS)
  local size = redis.call('APPEND', q.prefix .. 'tally:' .. minute, text)
  if size == #text then redis.call('ZADD', q.prefix .. 'tallies', minute, minute) end
  if size > TALLY_BYTES then fold(q, minute) end
end

-- Count once more, with the ms that it took where it took any; all that a call counts is saved at its end.
local function tally(q, service, what, ms)
  local tallies = q.tallies
  if not tallies then
    tallies = {}
    q.tallies, q.at_end = tallies, save_tallies
  end
  local counted = tallies[service]
  if not counted then
    counted = {}
    tallies[service] = counted
  end
  local key = what * 256 + (ms and bucket_of(ms) or NO_BUCKET)
  counted[key] = (counted[key] or 0) + 1
end
