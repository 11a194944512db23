-- What every function starts from. KEYS[1] is always `{prefix}jobs:pending` (it names the slot and the prefix);
-- the first arguments of every function are the terms below, in this order; its own arguments follow from FIRST on.
-- Redis's clock is the only clock: `q.now` is ms since the epoch and stands still for the length of the call.
local FIRST = 11

local function open(keys, args)
  local time = redis.call('TIME')
  return {
    prefix = string.sub(keys[1], 1, -1 - #'jobs:pending'),
    now = time[1] * 1000 + math.floor(time[2] / 1000),
    progress_stream_length = args[1],
    events_stream_length = args[2],
    lease_ms = tonumber(args[3]),
    finished_ttl_ms = tonumber(args[4]),
    inline_result_limit = tonumber(args[5]),
    retry_backoff_ms = tonumber(args[6]),
    retry_backoff_max_ms = tonumber(args[7]),
    max_deliveries = tonumber(args[8]),
    heartbeat_ttl_ms = tonumber(args[9]),
    forget_worker_ms = tonumber(args[10]),
  }
end

-- Reading functions take no terms: they only need the prefix.
local function open_reader(keys)
  return { prefix = string.sub(keys[1], 1, -1 - #'jobs:pending') }
end
