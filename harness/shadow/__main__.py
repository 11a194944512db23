"""The follower's process: `python -m harness.shadow`, which reads the traffic from its standard input."""

import asyncio

from harness.shadow.follower import follow

if __name__ == "__main__":
    asyncio.run(follow())
