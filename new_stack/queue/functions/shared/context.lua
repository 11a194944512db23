--@include gather
-- What every function starts from. KEYS[1] is always `{prefix}ready` (it names the slot and the prefix).
-- The first argument of every function that changes something is the terms: the queue's settings that are numbers, as
-- MessagePack, by their names; a newer version may add some. The function's own arguments follow, and are numbered from 1.
-- Redis's clock is the only clock: `q.now` is ms since the epoch and stands still for the length of the call.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Calls mostly come with the same terms as the last one.
local packed_terms, terms

local function open(keys)
  return { prefix = string.sub(keys[1], 1, -1 - #'ready'), now = clock() }
end

-- The three kinds of functions: those that read; those that change something, though memory be full; and those that are
-- refused then, since they add something.
local function register(name, flags, callback)
  redis.register_function{ function_name = 'hubgate_' .. name, flags = flags, callback = callback }
end

local function reads(name, work)
  register(name, { 'no-writes', 'allow-stale' }, function(keys, args) return work(open(keys), args) end)
end

local function adds(name, work, flags)
  register(name, flags or {}, function(keys, args)
    local q, packed = open(keys), table.remove(args, 1)
    if packed ~= packed_terms then packed_terms, terms = packed, { __index = cmsgpack.unpack(packed) } end
    local fine, reply = pcall(work, setmetatable(q, terms), args)
    do_gathered(q)  -- though it broke off: what it has saved of jobs stands
    if not fine then error(reply, 0) end
    if q.at_end then q.at_end(q) end
    return reply
  end)
end

local function changes(name, work) adds(name, work, { 'allow-oom' }) end
