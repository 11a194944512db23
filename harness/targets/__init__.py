"""Targets: a hub or a stack, started by us or given by URL, and how it is started."""

from harness.targets.deployment import Crew as Crew
from harness.targets.deployment import Deployment as Deployment
from harness.targets.deployment import Namespace as Namespace
from harness.targets.deployment import Setup as Setup
from harness.targets.pool import REPLAYED as REPLAYED
from harness.targets.pool import GivenPool as GivenPool
from harness.targets.pool import HubPool as HubPool
from harness.targets.pool import Needs as Needs
from harness.targets.pool import StackPool as StackPool
from harness.targets.pool import TargetPool as TargetPool
from harness.targets.target import LEASE_MS as LEASE_MS
from harness.targets.target import LOOPBACK as LOOPBACK
from harness.targets.target import HubTarget as HubTarget
from harness.targets.target import Side as Side
from harness.targets.target import StackTarget as StackTarget
from harness.targets.target import Target as Target
