--@include context fold
-- timeseries: what happened, by service, in slots of one length, and what nobody has folded into them yet.
-- Keys: `ready`. Arguments: seconds of a slot; the number of the first one and of the last; '1' where tallies are wanted.
-- Reply: {for each slot its text or '', for each tally {its minute, {service, {key, how often, …}, …}}} (shared/tally.lua).
-- Invariant: changes nothing; what is counted is in a slot or in a tally, never in both.
local function rows_of(sums)
  local rows = {}
  for service, counted in pairs(sums) do
    local row = {}
    for key, count in pairs(counted) do row[#row + 1], row[#row + 2] = key, count end
    rows[#rows + 1], rows[#rows + 2] = service, row
  end
  return rows
end

reads('timeseries', function(q, args)
  local seconds, first, last = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  local names, tallies = {}, {}
  for number = first, last do names[#names + 1] = string.format('%sslot:%d:%d', q.prefix, seconds, number) end
  local slots = redis.call('MGET', unpack(names))
  for index = 1, #names do slots[index] = slots[index] or '' end
  if args[4] == '1' then
    for _, minute in ipairs(redis.call('ZRANGE', q.prefix .. 'tallies', 0, -1)) do
      tallies[#tallies + 1] = { minute, rows_of(read_tally(q, minute)) }
    end
  end
  return { slots, tallies }
end)
