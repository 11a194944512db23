-- why_not: the first reason why a worker may not take a job.
-- Keys: none. Arguments: the job and the worker, as JSON objects.
-- Reply: {} where it may, else {rule, the name that decided it}.
-- Invariant: changes nothing and reads nothing; text that is no JSON object is malformed.
local function decoded(text)
  local fine, value = pcall(cjson.decode, text)
  if fine and type(value) == 'table' then return value end
end

redis.register_function{
  function_name = 'hubgate_why_not',
  flags = { 'no-writes', 'allow-stale' },
  callback = function(_, args)
    local job, worker = decoded(args[1]), decoded(args[2])
    if not job or not worker then return { 'malformed', job and 'worker' or 'job' } end
    local rule, value = why_not(job, worker)
    if rule then return { rule, value } end
    return {}
  end,
}
