"""The pytest plug-in: scenarios against a hub and a stack, in anybody's repository (docs/pytest.md)."""

from harness.testing.servers import QUICK, Nemeses, OwnServer, Server, fresh

__all__ = ["QUICK", "Nemeses", "OwnServer", "Server", "fresh"]
