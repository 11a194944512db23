--@include context workers
-- heartbeat: a worker says that it is alive and what it is doing.
-- Keys: `ready`. Arguments: the terms; worker id, class, services; its report (JSON).
-- Reply: how many ms ago somebody last reaped.
-- Invariant: a worker is alive for heartbeat_ttl_ms after its last word, by Redis's clock.
changes('heartbeat', function(q, args)
  beat(q, unpack(args, 1, 4))
  local last = string.match(redis.call('GET', q.prefix .. 'reaped_at') or '0', '^%d+')
  return q.now - last
end)
