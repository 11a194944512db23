"""Events on their way to readers: one reader of Redis, the fan-out, and the streams that join history and present."""
