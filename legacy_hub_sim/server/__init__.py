"""The thin server around the core: sockets, REST, timers, Redis."""

from legacy_hub_sim.server.app import run, start

__all__ = ["run", "start"]
