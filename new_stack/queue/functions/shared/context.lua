-- What every function starts from. KEYS[1] is always `{prefix}ready` (it names the slot and the prefix).
-- The first argument of every function that changes something is how many terms follow, then come the terms below in
-- this order, then from `q.first` on the function's own arguments: a newer version may add terms without moving these.
-- Redis's clock is the only clock: `q.now` is ms since the epoch and stands still for the length of the call.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function open(keys, args)
  return {
    first = tonumber(args[1]) + 2,
    prefix = string.sub(keys[1], 1, -1 - #'ready'),
    now = clock(),
    job_stream_length = args[2],
    events_stream_length = args[3],
    lease_ms = tonumber(args[4]),
    finished_ttl_ms = tonumber(args[5]),
    inline_result_limit = tonumber(args[6]),
    retry_backoff_ms = tonumber(args[7]),
    retry_backoff_max_ms = tonumber(args[8]),
    max_deliveries = tonumber(args[9]),
    heartbeat_ttl_ms = tonumber(args[10]),
    forget_worker_ms = tonumber(args[11]),
    finished_limit = tonumber(args[12]),
    events_ttl_ms = tonumber(args[13]),
  }
end

-- Reading functions take no terms: they only need the prefix.
local function open_reader(keys)
  return { prefix = string.sub(keys[1], 1, -1 - #'ready') }
end

-- The three kinds of functions: those that read; those that change something, though memory be full; and those that are
-- refused then, since they add something.
local function register(name, flags, callback)
  redis.register_function{ function_name = 'hubgate_' .. name, flags = flags, callback = callback }
end

local function reads(name, work)
  register(name, { 'no-writes', 'allow-stale' }, function(keys, args) return work(open_reader(keys), args) end)
end

local function adds(name, work, flags)
  register(name, flags or {}, function(keys, args)
    local q = open(keys, args)
    local reply = work(q, args)
    if q.at_end then q.at_end(q) end
    return reply
  end)
end

local function changes(name, work) adds(name, work, { 'allow-oom' }) end
