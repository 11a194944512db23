--@include ready workers alive
-- A claim takes its share, not every place: what is left is for the others that wait. `groups` has for each group how many
-- jobs are ready, how many workers are there for them, and how many it has taken; `left_some` says whether it left jobs to
-- others.
local function begin_share(q, worker, count)
  if count == 1 or worker.wait_ms == 0 then return { limit = count } end
  local alive = redis.call('ZCOUNT', q.prefix .. 'workers', q.now, '+inf')
  local ready = pending_count(q) - redis.call('ZCARD', q.prefix .. 'delayed')
  local limit = math.min(count, math.max(1, math.ceil(ready / math.max(1, alive))))
  return { limit = limit, groups = {} }
end

-- Whether a claim has its share of a group, one of whose jobs it looks at.
local function has_its_share(q, share, group)
  if not share.groups then return false end
  local one = share.groups[group]
  if not one then
    local ready = redis.call('ZCARD', q.prefix .. 'ready:' .. group)
    one = { taken = 0, ready = ready, workers = math.max(1, alive_for(q, group)) }
    share.groups[group] = one
  end
  if one.taken > 0 and one.taken >= math.ceil((one.ready - one.taken) / one.workers) then
    share.left_some = true
    return true
  end
  one.taken = one.taken + 1
  return false
end
