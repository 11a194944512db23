--@include job events pending finish
-- Hand a held job back unfinished: to its old place, nothing counted. Answers 'pending', 'lost' or 'cancelled'.
local function release(q, id, attempt, worker_id)
  local job = read_job(q, id)
  if not holds(job, attempt, worker_id) then return refusal(job, attempt) end
  give_back(q, job)
  enter_pending(q, job)
  wake(q, 1)
  emit(q, job, 'released', { 'worker_id', worker_id })
  return 'pending'
end
