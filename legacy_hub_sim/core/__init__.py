"""The hub's rules: messages in, messages out. No socket, no clock, no randomness, no Redis."""

from legacy_hub_sim.core.connections import Close as Close
from legacy_hub_sim.core.connections import Frame as Frame
from legacy_hub_sim.core.connections import Outgoing as Outgoing
from legacy_hub_sim.core.connections import Peer as Peer
from legacy_hub_sim.core.connections import Role as Role
from legacy_hub_sim.core.connections import Style as Style
from legacy_hub_sim.core.hub import Hub as Hub
from legacy_hub_sim.core.jobs import JobStore as JobStore
from legacy_hub_sim.core.jobs import StoreError as StoreError
from legacy_hub_sim.core.rest import Answer as Answer
from legacy_hub_sim.core.rest import Request as Request
from legacy_hub_sim.core.rest import Waiting as Waiting
