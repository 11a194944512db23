--@include context record ready unserved
-- job: one job as it stands.
-- Keys: `ready`. Arguments: job id; '1' where its large bodies are wanted.
-- Reply: {} where there is none, else {the record's row, with why it waits (see note_why); its position}.
-- Invariant: changes nothing; O(log n).
reads('job', function(q, args)
  local job = read_job(q, args[1])
  if not job then return {} end
  note_why(q, job)
  if args[2] ~= '1' then job.payload_apart, job.result_apart = nil, nil end
  return { row_of(q, job), position(q, job) }
end)
