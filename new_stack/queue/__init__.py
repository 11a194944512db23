"""The job queue: jobs, leases and events in Redis, changed only by Redis Functions."""
