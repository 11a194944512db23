--@include record finish
-- Hand a held job back unfinished: to its old place, nothing counted. Answers 'pending', 'lost' or 'cancelled'.
local function release(q, id, attempt, worker_id)
  local job = read_job(q, id)
  if not holds(job, attempt, worker_id) then return refusal(job, attempt) end
  give_back(q, job)
  make_ready(q, job)
  emit(q, job, 'released', { 'worker_id', worker_id })
  save_job(q, job)
  return 'pending'
end
