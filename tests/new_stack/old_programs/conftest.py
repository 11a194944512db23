"""Our stack as those programs find it: a server, and workers that play scripts."""

from __future__ import annotations

from tests.new_stack.api.conftest import start_api, work
from tests.new_stack.worker.conftest import start_worker

__all__ = ["start_api", "start_worker", "work"]
