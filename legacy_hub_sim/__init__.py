"""The legacy hub as its clients know it, faults included: a pure core and a thin server."""

from legacy_hub_sim.faults import ALL_FAULTS, Fault, UnknownFaultError, all_without
from legacy_hub_sim.settings import Settings

__all__ = ["ALL_FAULTS", "Fault", "Settings", "UnknownFaultError", "all_without"]
