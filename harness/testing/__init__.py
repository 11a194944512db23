"""The pytest plug-in: scenarios against a hub and a stack, in anybody's repository (docs/pytest.md)."""

from harness.testing.servers import QUICK as QUICK
from harness.testing.servers import Nemeses as Nemeses
from harness.testing.servers import OwnServer as OwnServer
from harness.testing.servers import Server as Server
from harness.testing.servers import fresh as fresh
from harness.testing.waiting import TooLate as TooLate
from harness.testing.waiting import until as until
