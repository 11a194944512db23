"""Nemeses: what a run breaks on purpose, by seed, written into its history, and always healed.

async with Waves(workers, writer, seed=1, how=Signal.KILL, waves=5) as killing:
    await killing.done()
"""

from harness.faults.drawn import ClockAhead as ClockAhead
from harness.faults.drawn import Drawn as Drawn
from harness.faults.drawn import Kind as Kind
from harness.faults.drawn import Reach as Reach
from harness.faults.drawn import draw as draw
from harness.faults.nemesis import Nemesis as Nemesis
from harness.faults.nemesis import Plan as Plan
from harness.faults.network import Cuts as Cuts
from harness.faults.network import HalfOpen as HalfOpen
from harness.faults.network import Partition as Partition
from harness.faults.network import Slowness as Slowness
from harness.faults.network import SlowReader as SlowReader
from harness.faults.processes import KillRedis as KillRedis
from harness.faults.processes import KillServers as KillServers
from harness.faults.processes import OnTrigger as OnTrigger
from harness.faults.processes import Role as Role
from harness.faults.processes import Signal as Signal
from harness.faults.processes import Trigger as Trigger
from harness.faults.processes import Waves as Waves
from harness.faults.proxy import BOTH as BOTH
from harness.faults.proxy import Direction as Direction
from harness.faults.proxy import Proxy as Proxy
from harness.faults.redis import Demotion as Demotion
from harness.faults.redis import Failover as Failover
from harness.faults.redis import FailoverBy as FailoverBy
from harness.faults.redis import FlushFunctions as FlushFunctions
from harness.faults.redis import FullMemory as FullMemory
