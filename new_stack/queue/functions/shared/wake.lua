--@include context workers paused ready
-- Waking: a job that becomes ready wakes one idle worker that serves it, by a token on that worker's own list. A worker
-- whose wait is over (it died, or left) is passed over; what nobody is woken for is found by the next poll.
local WAKE_TTL_MS = 60000

local function wake_worker(q, worker_id)
  local list = q.prefix .. 'wake:' .. worker_id
  redis.call('RPUSH', list, '1')
  redis.call('PEXPIRE', list, WAKE_TTL_MS)
end

-- Wake up to `count` workers for jobs of one group; `last` is woken only where there is no other. Answers the name of
-- one that was woken, but for `last`.
local function wake(q, group, count, last)
  if paused_since(q, 'service', service_of(group)) then return nil end
  local kept, another, passed_over = nil, nil, {}
  for _, class in ipairs(classes(q)) do
    local idle = q.prefix .. 'idle:' .. class.name
    local excluded = serves(class.read, group)
    while count > 0 and excluded do
      local first = redis.call('ZPOPMIN', idle)
      if #first == 0 then break end
      if excluded[first[1]] then
        passed_over[#passed_over + 1] = { idle, first[2], first[1] }
      elseif first[1] == last then
        kept = { idle, first[2] }
      elseif tonumber(first[2]) >= q.now then
        wake_worker(q, first[1])
        count, another = count - 1, first[1]
      end
    end
  end
  for _, one in ipairs(passed_over) do redis.call('ZADD', one[1], one[2], one[3]) end
  if kept and count == 0 then redis.call('ZADD', kept[1], kept[2], last) end
  if kept and count > 0 then wake_worker(q, last) end
  return another
end

-- The worker has room left and waits until then.
local function park(q, worker_id, class, wait_ms)
  redis.call('ZADD', q.prefix .. 'idle:' .. class, q.now + wait_ms, worker_id)
end

-- Jobs that somebody was woken for who does not come wake another one.
local GROUPS_TOLD = 20

local function wake_others(q)
  for _, group in ipairs(ready_groups(q, GROUPS_TOLD)) do wake(q, group, 1) end
end
