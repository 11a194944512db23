"""Nemeses: what a run breaks on purpose, by seed, written into its history, and always healed.

async with Waves(workers, writer, seed=1, how=How.KILL, waves=5) as killing:
    await killing.done()
"""

from harness.faults.nemesis import Nemesis
from harness.faults.network import Cuts, Partition, Plan, Slowness
from harness.faults.processes import AtPoint, How, KillServers, Point, Waves
from harness.faults.proxy import BOTH, Direction, Proxy
from harness.faults.redis import KillRedis
from harness.faults.slow_reader import SlowReader

__all__ = [
    "BOTH",
    "AtPoint",
    "Cuts",
    "Direction",
    "How",
    "KillRedis",
    "KillServers",
    "Nemesis",
    "Partition",
    "Plan",
    "Point",
    "Proxy",
    "SlowReader",
    "Slowness",
    "Waves",
]
