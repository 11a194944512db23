"""Events on their way to readers: the one reader of Redis, and the fan-out to every connection."""
