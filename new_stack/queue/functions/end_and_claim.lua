--@include context complete fail repeated claim
-- end_and_claim: end held jobs, then claim next ones, in one step.
-- Keys: `ready`. Arguments: the terms; worker id, class, services (one a line, '*' for all; where matching is on, after
-- an empty line its capabilities as JSON), how many jobs it runs besides, ms for which it will wait for more (0: it does
-- not wait); how many to claim; the number of ends; for each:
-- 'complete'|'fail'|'release', job id, attempt, holder's worker id, result or error, '1' if it may run again, the
-- failure's type and traceback.
-- Reply: {for each end 'completed'|'failed'|'pending'|'lost'|'cancelled'; for each job claimed {its lease (MessagePack:
-- id, attempt, service_required, priority, max_retries, failures, expires_at, worker id, whether it must run alone,
-- client_id or '', ms that the attempt may take or ''), payload, extra}}.
-- Invariant: only the newest attempt ends a job, and it ends once; no job is held by two workers; the order is priority,
-- then first in first out. Runs when Redis is out of memory: ends make room.
local ENDS = { complete = complete, fail = fail, release = function(q, job) return hand_back(q, job, 'released') end }

local function end_one(q, kind, id, attempt, worker_id, ...)
  local job = read_job(q, id)
  local state = job and ended_before(job, kind, attempt, worker_id)
  if state then return state end
  local may = kind == 'release' and holds or may_end
  if not may(job, attempt, worker_id) then return refusal(job, attempt) end
  return ENDS[kind](q, job, worker_id, ...)
end

changes('end_and_claim', function(q, args)
  local worker = {
    id = args[1], class = args[2], services = args[3],
    running = tonumber(args[4]), wait_ms = tonumber(args[5]),
  }
  local ends, count, number = {}, tonumber(args[6]), tonumber(args[7])
  for index = 1, number do
    local at = index * 8
    local kind, id, attempt, worker_id, body, again, error_type, trace = unpack(args, at, at + 7)
    ends[index] = end_one(q, kind, id, tonumber(attempt), worker_id, body, again == '1', error_type, trace)
  end
  do_gathered(q)
  local leases = count > 0 and claim(q, worker, count) or {}
  return { ends, leases }
end)
