--@include context record serve
-- The jobs that may be claimed: one sorted set a group (`ready:{group}`, see serve.lua), and for each group a score that
-- its best job does not exceed: in `ready` that of services, in `signatures` that of jobs that ask for more.
--
-- Highest score first: priority (its workflow's, where matching found one), then age.
-- Score = priority * 2^40 - sequence, exact in a double for priorities up to 4,096; the member begins with the sequence, counted downwards, so that jobs whose scores a double cannot tell apart
-- (equal priorities beyond that) still come in their order: Redis sorts equal scores by member.
local SEQUENCES = 1099511627776
local LARGEST_PRIORITY = 1125899906842624
local MEMBER_PREFIX = 10

local function score_of(job)
  local priority = job.rank or job.priority
  return math.max(-LARGEST_PRIORITY, math.min(LARGEST_PRIORITY, priority)) * SEQUENCES - job.sequence
end

local function member_of(job)
  return string.format('%010x', SEQUENCES - 1 - job.sequence) .. job.id
end

local function id_of(member)
  return string.sub(member, MEMBER_PREFIX + 1)
end

local function group_of(job)
  return job.group or job.service_required
end

-- The key that has the group's bound.
local function bounds_of(q, group)
  return q.prefix .. (is_signature(group) and 'signatures' or 'ready')
end

-- The groups that have ready jobs, those with the highest bounds: up to `limit` services and as many signatures.
local function ready_groups(q, limit)
  local found = redis.call('ZRANGE', q.prefix .. 'ready', 0, limit - 1, 'REV')
  for _, group in ipairs(redis.call('ZRANGE', q.prefix .. 'signatures', 0, limit - 1, 'REV')) do
    found[#found + 1] = group
  end
  return found
end

-- Answers the job's group. Of those that one call puts there, each worse one than the one before leaves the bound alone.
local function enter_ready(q, job)
  local group, score = group_of(job), score_of(job)
  redis.call('ZADD', q.prefix .. 'ready:' .. group, score, member_of(job))
  if group ~= q.entered_group or score > q.entered_score then
    redis.call('ZADD', bounds_of(q, group), 'GT', score, group)
  end
  q.entered_group, q.entered_score = group, score
  return group
end

-- Take the job out; whether it was there. The group's bound stays: the next claim corrects it.
local function leave_ready(q, job)
  return redis.call('ZREM', q.prefix .. 'ready:' .. group_of(job), member_of(job)) == 1
end

-- 1-based among the ready jobs of its group, 0 where it is not ready.
local function position(q, job)
  if job.state ~= 'pending' then return 0 end
  local rank = redis.call('ZREVRANK', q.prefix .. 'ready:' .. group_of(job), member_of(job))
  return rank and rank + 1 or 0
end

-- How many jobs are pending, ready or in back-off: all that there are, but for those held and those ended.
local function pending_count(q)
  return redis.call('ZCARD', q.prefix .. 'jobs') - redis.call('ZCARD', q.prefix .. 'leases')
    - redis.call('ZCARD', q.prefix .. 'ended')
end
