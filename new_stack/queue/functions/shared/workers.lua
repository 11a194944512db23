--@include context
-- Whether a worker other than this one is alive (its heartbeat has not run out).
local function another_is_alive(q, worker_id)
  for _, other in ipairs(redis.call('SMEMBERS', q.prefix .. 'workers:active')) do
    if other ~= worker_id and redis.call('EXISTS', q.prefix .. 'worker:' .. other .. ':heartbeat') == 1 then
      return true
    end
  end
  return false
end
