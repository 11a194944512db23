--@include ready workers alive
-- A claim takes its share, not every place: what is left is for the others that wait. `taken` says how many of each group
-- it has; `left_some`, whether it left jobs to others.
local function begin_share(q, worker, count)
  if count == 1 or worker.wait_ms == 0 then return { limit = count } end
  local alive = redis.call('ZCOUNT', q.prefix .. 'workers', q.now, '+inf')
  local ready = pending_count(q) - redis.call('ZCARD', q.prefix .. 'delayed')
  local limit = math.min(count, math.max(1, math.ceil(ready / math.max(1, alive))))
  return { limit = limit, taken = {} }
end

-- Whether a claim has its share of a group, one of whose jobs it looks at.
local function has_its_share(q, share, group)
  if not share.taken then return false end
  local taken = share.taken[group] or 0
  local ready = redis.call('ZCARD', q.prefix .. 'ready:' .. group) + 1
  if taken > 0 and taken >= math.ceil(ready / math.max(1, alive_for(q, group))) then
    share.left_some = true
    return true
  end
  share.taken[group] = taken + 1
  return false
end
