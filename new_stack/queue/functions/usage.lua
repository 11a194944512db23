--@include context
-- usage: what clients have used, a page at a time, or one client's.
-- Keys: `ready`. Arguments: the cursor ('0' to begin); about how many; one client's id, '' for all.
-- Reply: {the next cursor, '0' at the end; {client, its record (see usage_count), …}; on the first page {day, what all
-- used together, …}}.
-- Invariant: changes nothing. A client that is there throughout comes at least once.
reads('usage', function(q, args)
  local days = args[1] == '0' and redis.call('HGETALL', q.prefix .. 'usage:days') or {}
  if args[3] ~= '' then
    local packed = redis.call('HGET', q.prefix .. 'usage', args[3])
    return { '0', packed and { args[3], packed } or {}, days }
  end
  local page = redis.call('HSCAN', q.prefix .. 'usage', args[1], 'COUNT', args[2])
  return { page[1], page[2], days }
end)
