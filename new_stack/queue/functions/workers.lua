--@include context workers paused
-- workers: the workers that have not been forgotten, a page at a time.
-- Keys: `ready`. Arguments: the cursor ('0' to begin); about how many.
-- Reply: {the next cursor, '0' at the end; for each {id, report (JSON), registered_at, seen_at, '1' if alive, since when it is
-- drained or ''}}.
-- Invariant: changes nothing. One that is there throughout comes at least once.
reads('workers', function(q, args)
  local page = redis.call('HSCAN', q.prefix .. 'reports', args[1], 'COUNT', args[2])
  local ids, rows = {}, {}
  for index = 1, #page[2], 2 do ids[#ids + 1] = page[2][index] end
  local until_ms = #ids > 0 and redis.call('ZMSCORE', q.prefix .. 'workers', unpack(ids)) or {}
  for index, id in ipairs(ids) do
    local since, seen_at, _, report = parts_of(page[2][index * 2])
    if since and until_ms[index] then
      local drained = paused_since(q, 'worker', id) or ''
      rows[#rows + 1] = { id, report, since, seen_at, tonumber(until_ms[index]) >= q.now and '1' or '0', drained }
    end
  end
  return { page[1], rows }
end)
