--@include context layout
-- The record of a job: a table, kept under `record:{id}` as shared/layout.lua says. One read and one write a change, and
-- a tenth of the memory of a hash. What is absent is nil. Bodies over APART_BYTES have keys of their own (`payload:{id}`,
-- `result:{id}`), because a record is written whole with every progress.
local APART_BYTES = 1024

-- The job, or nil and why: 'missing' (no record) or 'malformed' (a record that no rule can work with).
local function read_job(q, id)
  local raw = redis.pcall('GET', q.prefix .. 'record:' .. id)
  if not raw then return nil, 'missing' end
  local fine, job = pcall(unpacked_record, raw)
  if fine and job then
    job.id = id
    return job
  end
  if type(raw) == 'table' and not string.find(raw.err, 'WRONGTYPE', 1, true) then error(raw, 0) end
  return nil, 'malformed'
end

local function save_job(q, job)
  redis.call('SET', q.prefix .. 'record:' .. job.id, packed_record(job))
end

-- Keep a body with the record, or beside it where it is large.
local function keep_body(q, job, field, text)
  if #text <= APART_BYTES then
    job[field] = text
    return
  end
  job[field .. '_apart'] = true
  redis.call('SET', q.prefix .. field .. ':' .. job.id, text)
end

-- A body, wherever it is kept; '' where there is none.
local function body_of(q, job, field)
  if job[field .. '_apart'] then return redis.call('GET', q.prefix .. field .. ':' .. job.id) or '' end
  return job[field] or ''
end

-- Whether this worker holds this attempt of the job: the fencing rule.
local function holds(job, attempt, worker_id)
  return job and job.state == 'claimed' and job.attempt == attempt and job.worker_id == worker_id
end

-- Whether this attempt may still end the job: it holds it, or its lease ran out and nobody has claimed the job since.
local function may_end(job, attempt, worker_id)
  return holds(job, attempt, worker_id)
    or (job and job.state == 'pending' and job.attempt == attempt and job.lost_by == worker_id)
end

-- Why a worker that does not hold the job is refused: 'cancelled' or 'lost'.
local function refusal(job, attempt)
  if job and job.state == 'cancelled' and job.attempt == attempt then return 'cancelled' end
  return 'lost'
end

-- A record as readers get it: {id, its fields by name as MessagePack, its payload and its result where they are kept apart, else ''}.
local function row_of(q, job)
  local id = job.id
  job.id = nil
  local row = { id, cmsgpack.pack(job), '', '' }
  job.id = id
  if job.payload_apart then row[3] = body_of(q, job, 'payload') end
  if job.result_apart then row[4] = body_of(q, job, 'result') end
  return row
end
