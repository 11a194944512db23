--@include context record
-- What a listing asks for: fields of the record, a text, and how much of each job.
local function says(job, text)
  for _, field in ipairs({ 'id', 'client_id', 'error' }) do
    if job[field] and string.find(string.lower(job[field]), text, 1, true) then return true end
  end
  return false
end

-- The row of a job without what may be large.
local function summary_of(q, job)
  for _, field in ipairs({ 'payload', 'payload_apart', 'result', 'result_apart', 'extra', 'logs', 'traceback' }) do
    job[field] = nil
  end
  return row_of(q, job)
end

local function is_wanted(job, wanted, text)
  for field, value in pairs(wanted) do
    if job[field] ~= value then return false end
  end
  return text == '' or says(job, text)
end
