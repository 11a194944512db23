"""What a user's tests import beside the plug-in's fixtures (docs/pytest.md). It needs `hubgate[gate]`."""

from harness.clients import LegacyClient, ModernClient, Monitor
from harness.testing import Nemeses, OwnServer, Server

__all__ = ["LegacyClient", "ModernClient", "Monitor", "Nemeses", "OwnServer", "Server"]
