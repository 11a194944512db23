--@include context workers wake ready
-- unregister: forget a worker that left in order. Its leases, if any, run out by themselves; jobs that it was woken for
-- wake another one.
-- Keys: `ready`. Arguments: the terms; worker id.
-- Reply: 'ok'.
-- Invariant: nothing of the worker is left but what its jobs say of it.
local GROUPS_TOLD = 20

redis.register_function{
  function_name = 'hubgate_unregister',
  flags = { 'allow-oom' },
  callback = function(keys, args)
    local q = open(keys, args)
    local woken = redis.call('LLEN', q.prefix .. 'wake:' .. args[q.first])
    forget_worker(q, args[q.first])
    if woken > 0 then
      for _, group in ipairs(ready_groups(q, GROUPS_TOLD)) do wake(q, group, 1) end
    end
    return 'ok'
  end,
}
