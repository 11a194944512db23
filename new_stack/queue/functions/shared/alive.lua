--@include context workers paused
-- How many workers that serve the group are alive and take jobs.
local function alive_for(q, group)
  local alive = 0
  for _, class in ipairs(classes(q)) do
    local excluded = serves(class.read, group)
    if excluded then
      local members = q.prefix .. 'workers:' .. class.name
      alive = alive + redis.call('ZCOUNT', members, q.now, '+inf')
      for worker_id in pairs(excluded) do
        if tonumber(redis.call('ZSCORE', members, worker_id) or 0) >= q.now then alive = alive - 1 end
      end
      for _, worker_id in ipairs(drained_workers(q)) do
        local until_ms = not excluded[worker_id] and redis.call('ZSCORE', members, worker_id)
        if until_ms and tonumber(until_ms) >= q.now then alive = alive - 1 end
      end
    end
  end
  return alive
end
