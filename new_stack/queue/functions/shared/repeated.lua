--@include record ready
-- What is sent again, since its answer got lost: a submission, an end, or what an attempt says.
local ROWS_BYTES = 65536

local function submitted_before(q, id, digest)
  local job, why = read_job(q, id)
  if why == 'missing' then return nil end
  if not job or job.digest ~= digest then return { 'conflict' } end
  local row = row_of(q, job)
  local size = #row[2] + #row[3] + #row[4]
  if q.rows_bytes + size > ROWS_BYTES then
    row = {}
  else
    q.rows_bytes = q.rows_bytes + size
  end
  return { 'same', job.state, position(q, job), row }
end

-- The state of a job that this attempt has ended so before, false of any other.
local function ended_before(job, kind, attempt, worker_id)
  local completed = kind == 'complete' and job.state == 'completed'
    and job.attempt == attempt and job.worker_id == worker_id
  local failed = kind == 'fail' and (job.state == 'pending' or job.state == 'failed')
    and job.failed_attempt == attempt and job.failed_by == worker_id
  return (completed or failed) and job.state
end

-- Whether an attempt has said this before (its answer got lost). An attempt numbers what it says, upwards; 0 is no number.
-- The caller saves the record.
local function is_repeated(job, attempt, number)
  number = tonumber(number or 0)
  if number == 0 then return false end
  if job.said_by == attempt and number <= (job.said or 0) then return true end
  job.said_by, job.said = attempt, number
  return false
end
