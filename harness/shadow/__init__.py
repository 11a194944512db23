"""Shadow mode: clients talk to the hub through a proxy, and what sampled ones say is asked of the candidate as well.

async with Shadow(settings, port=8001, remark=print):
    await until_the_week_is_over()
"""

from harness.shadow.front import Shadow
from harness.shadow.traffic import Rules, Settings

__all__ = ["Rules", "Settings", "Shadow"]
