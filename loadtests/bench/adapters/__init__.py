"""One file a system: how it submits and how its workers run, in its own ordinary way."""
