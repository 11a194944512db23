--@include context
-- The index of signatures (see serve.lua), as a claim walks it.
local WALKED = 1000
local RESUME_TTL_MS = 60000

local function signatures_for(q, worker, page)
  return {
    key = q.prefix .. 'signatures', page = page, rank = 0, floor = math.huge, stop_at = WALKED,
    resume = q.prefix .. 'walk:' .. worker.class,
  }
end

-- A claim is bounded and yet starves nobody: signatures are walked from the best one on; beyond the first WALKED, as many
-- more, from where the last walk of this class found nothing and stopped.
local function pace(q, index)
  if not index.floor then
    if index.resumed then redis.call('DEL', index.resume) end
  elseif index.rank >= index.stop_at then
    if index.resumed then
      redis.call('SET', index.resume, index.rank, 'PX', RESUME_TTL_MS)
      index.floor = nil
    else
      index.resumed = true
      index.rank = math.max(index.rank, tonumber(redis.call('GET', index.resume) or 0))
      index.stop_at = index.rank + WALKED
    end
  end
end
