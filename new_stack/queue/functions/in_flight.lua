--@include context record ready
-- in_flight: the jobs that have not ended, each with its client, a page at a time.
-- Keys: `ready`. Arguments: the set to go on with ('' to begin) and the cursor in it; about how many to look at.
-- Reply: {the set to go on with, '' at the end; the cursor in it; ids and clients ('' for none) in turns}.
-- Invariant: changes nothing, and never looks at a job that has ended. One that stays where it is comes at least once; one that
-- moves meanwhile may not come, but its event says so.
reads('in_flight', function(q, args)
  local name, cursor, most = args[1], args[2], tonumber(args[3])
  local sets, page, looked_at = { 'delayed', 'leases' }, {}, 0
  for _, group in ipairs(ready_groups(q, 0)) do sets[#sets + 1] = 'ready:' .. group end
  table.sort(sets)
  for _, set in ipairs(sets) do
    if set > name then cursor = '0' end
    while set >= name and cursor ~= '' do
      if looked_at >= most then return { set, cursor, page } end
      local found = redis.call('ZSCAN', q.prefix .. set, cursor, 'COUNT', most)
      for at = 1, #found[2], 2 do
        local member = found[2][at]
        local id = string.sub(set, 1, 6) == 'ready:' and id_of(member) or member
        local job = read_job(q, id)
        if job then page[#page + 1], page[#page + 2] = id, job.client_id or '' end
      end
      looked_at = looked_at + 1 + #found[2] / 2
      cursor = found[1] ~= '0' and found[1] or ''
    end
  end
  return { '', '', page }
end)
