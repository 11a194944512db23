--@include context record ready workers paused unserved
-- explain: which live workers may take a job, and for each other one the first reason why not.
-- Keys: `ready`. Arguments: job id; how many workers at most.
-- Reply: {} where there is none, else {the record's row, since when nobody serves it or '', ms when it is due or '',
-- for each worker {id, '1' where it waits for work, the rule that the pair breaks or '', what decided it}, '1' where
-- there are more workers}.
-- Invariant: changes nothing; the rule is the one that claims decide by.
local function reason_for(q, job, class, worker_id)
  local group, read = group_of(job), class.read
  if paused_since(q, 'service', job.service_required) then return 'service.paused', job.service_required end
  if paused_since(q, 'worker', worker_id) then return 'worker.draining', '' end
  if not read.offers and is_signature(group) then
    local serves_it = serves(read, service_of(group)) or read.services == '*'
    return serves_it and 'matching' or 'service', service_of(group)
  elseif not read.offers then
    if not serves(read, group) then return 'service', group end
  else
    local asked = asked_by(group)
    if not asked then return 'malformed', 'requirements' end
    local rule, value = why_not(asked, { id = worker_id, capabilities = read.offers })
    if rule then return rule, value end
  end
  if job.failed_by == worker_id and another_is_idle(q, worker_id, group) then return 'failed_last', '' end
  return '', ''
end

local function verdicts(q, job, limit)
  local found = {}
  for _, class in ipairs(classes(q)) do
    local members = q.prefix .. 'workers:' .. class.name
    local page = redis.call('ZRANGEBYSCORE', members, q.now, '+inf', 'LIMIT', 0, limit + 1 - #found)
    for _, worker_id in ipairs(page) do
      local until_ms = redis.call('ZSCORE', q.prefix .. 'idle:' .. class.name, worker_id)
      local idle = tonumber(until_ms or 0) >= q.now and '1' or ''
      found[#found + 1] = { worker_id, idle, reason_for(q, job, class, worker_id) }
    end
    if #found > limit then return found, true end
  end
  return found, false
end

reads('explain', function(q, args)
  local job = read_job(q, args[1])
  if not job then return {} end
  local since, due, rows, more = '', '', {}, false
  if job.state == 'pending' then
    since = unserved_since(q, group_of(job)) or ''
    due = redis.call('ZSCORE', q.prefix .. 'delayed', job.id) or ''
    rows, more = verdicts(q, job, tonumber(args[2]))
    if more then table.remove(rows) end
  end
  return { row_of(q, job), since, due, rows, more and '1' or '' }
end)
