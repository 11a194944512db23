"""Nemeses: what a run breaks on purpose, by seed, written into its history, and always healed.

async with Waves(workers, writer, seed=1, how=Signal.KILL, waves=5) as killing:
    await killing.done()
"""

from harness.faults.drawn import ClockAhead, Drawn, Kind, Reach, draw
from harness.faults.nemesis import Nemesis, Plan
from harness.faults.network import Cuts, HalfOpen, Partition, Slowness, SlowReader
from harness.faults.processes import KillRedis, KillServers, OnTrigger, Role, Signal, Trigger, Waves
from harness.faults.proxy import BOTH, Direction, Proxy
from harness.faults.redis import Demotion, Failover, FailoverBy, FlushFunctions, FullMemory

__all__ = [
    "BOTH",
    "ClockAhead",
    "Cuts",
    "Demotion",
    "Direction",
    "Drawn",
    "Failover",
    "FailoverBy",
    "FlushFunctions",
    "FullMemory",
    "HalfOpen",
    "KillRedis",
    "KillServers",
    "Kind",
    "Nemesis",
    "OnTrigger",
    "Partition",
    "Plan",
    "Proxy",
    "Reach",
    "Role",
    "Signal",
    "SlowReader",
    "Slowness",
    "Trigger",
    "Waves",
    "draw",
]
