"""Programs of earlier times, as they talk to their servers: they know nothing of ours, and read answers strictly."""
