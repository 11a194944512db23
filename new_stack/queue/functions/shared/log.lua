-- The last lines of a job's log, in its record.
local LOG_LINES = 20

local function keep_line(q, job, level, message)
  job.logs = job.logs or {}
  if #job.logs == LOG_LINES then table.remove(job.logs, 1) end
  job.logs[#job.logs + 1] = { at = q.now, level = level, message = message }
end
