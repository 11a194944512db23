--@include context workers
-- heartbeat: a worker says that it is alive and what it is doing.
-- Keys: `ready`. Arguments: the terms; worker id, class, services; its report (JSON).
-- Reply: how many workers are alive.
-- Invariant: a worker is alive for heartbeat_ttl_ms after its last word, by Redis's clock.
changes('heartbeat', function(q, args)
  beat(q, unpack(args, 1, 4))
  return redis.call('ZCOUNT', q.prefix .. 'workers', q.now, '+inf')
end)
