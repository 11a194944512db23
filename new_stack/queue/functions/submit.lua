--@include context job events pending
-- submit: make jobs pending, each once.
-- Keys: `jobs:pending`. Arguments: the terms; the number of jobs; for each: id, service_required, payload, priority,
-- client_id ('' for none), max_retries, digest of the content, extra fields as JSON ('' for none).
-- Reply: for each {'created', 'pending', position, created_at}, {'same', state, position, the record} or
-- {'conflict'}. Of records that are large together, those that would exceed RECORDS_BYTES come empty.
-- Invariant: an id names one job for as long as its record lives; a repeat changes nothing.
local RECORDS_BYTES = 65536

local function submitted_before(q, id, digest)
  local key = q.prefix .. 'job:' .. id
  local known = redis.pcall('HMGET', key, 'state', 'service_required', 'digest')
  if known.err then return { 'conflict' } end
  if not known[1] then return nil end
  if known[3] ~= digest then return { 'conflict' } end
  local record = {}
  local size = redis.call('HSTRLEN', key, 'payload') + redis.call('HSTRLEN', key, 'result')
  if q.records_bytes + size <= RECORDS_BYTES then
    q.records_bytes = q.records_bytes + size
    record = redis.call('HGETALL', key)
  end
  return { 'same', known[1], position(q, id, known[2]), record }
end

local function submit_one(q, args, at)
  local id, payload = args[at], args[at + 2]
  local known = submitted_before(q, id, args[at + 6])
  if known then return known end
  local job = {
    id = id, state = 'pending', service_required = args[at + 1], priority = tonumber(args[at + 3]),
    client_id = args[at + 4], attempt = 0, sequence = redis.call('INCR', q.prefix .. 'jobs:sequence'),
  }
  redis.call('HSET', q.prefix .. 'job:' .. id, 'state', 'pending', 'service_required', job.service_required,
    'payload', payload, 'priority', job.priority, 'client_id', job.client_id, 'max_retries', args[at + 5],
    'digest', args[at + 6], 'sequence', job.sequence, 'attempt', 0, 'failures', 0, 'deliveries', 0,
    'created_at', q.now)
  if args[at + 7] ~= '' then redis.call('HSET', q.prefix .. 'job:' .. id, 'extra', args[at + 7]) end
  redis.call('ZADD', q.prefix .. 'jobs:state:pending', job.sequence, id)
  enter_pending(q, job)
  emit(q, job, 'submitted', {})
  return { 'created', 'pending', position(q, id, job.service_required), q.now }
end

local function submit(keys, args)
  local q = open(keys, args)
  q.records_bytes = 0
  local replies = {}
  local created = 0
  for index = 1, tonumber(args[q.first]) do
    local reply = submit_one(q, args, q.first + 1 + (index - 1) * 8)
    if reply[1] == 'created' then created = created + 1 end
    replies[index] = reply
  end
  wake(q, created)
  return replies
end

redis.register_function('hubgate_submit', submit)
