--@include context workers wake ready
-- unregister: forget a worker that left in order. Its leases, if any, run out by themselves; jobs that it was woken for
-- wake another one.
-- Keys: `ready`. Arguments: the terms; worker id.
-- Reply: 'ok'.
-- Invariant: nothing of the worker is left but what its jobs say of it.
changes('unregister', function(q, args)
  local woken = redis.call('LLEN', q.prefix .. 'wake:' .. args[1])
  forget_worker(q, args[1])
  if woken > 0 then wake_others(q) end
  return 'ok'
end)
