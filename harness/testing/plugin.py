"""The plug-in's options and markers. Its fixtures are loaded where the harness's own dependencies are installed.

It is loaded in every pytest run beside which hubgate is installed: it imports nothing that costs time.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import pytest

FIXTURES: Final = "harness.testing.fixtures"
NEEDED: Final = ("pytest_asyncio", "websockets", "httpx", "psutil")
"""Of the extra `gate`; without them the fixtures are not there, and pytest says so by their names."""
MARKERS: Final = (
    "criterion(id): the criterion of the gate that this scenario is evidence for",
    "both_sides: run on the hub and on the stack; a failure shows both transcripts side by side",
    "on_hub: run on the hub instead of the stack",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """A hub and a stack that somebody runs already, and what is started where none is given."""
    group = parser.getgroup("hubgate", "scenarios against a hub and a stack (hubgate)")
    group.addoption("--legacy", metavar="URL", help="a hub that you run (default: the simulator, started here)")
    group.addoption("--candidate", metavar="URL", help="a stack that you run, with its workers (default: started here)")
    group.addoption("--protocol", metavar="NAME|FILE", help="what the given stack speaks, where its words are its own")
    group.addoption("--legacy-protocol", metavar="NAME|FILE", help="the same of the given hub")
    token = os.environ.get("WEBSOCKET_AUTH_TOKEN")
    group.addoption("--token", metavar="TEXT", default=token, help="the token that they demand")
    group.addoption("--redis", metavar="URL", help="a Redis or Valkey that you run (default: an embedded one)")
    group.addoption("--workers", metavar="N", type=int, default=4, help="workers of a stack started here (default: 4)")
    group.addoption("--criterion", metavar="ID", action="append", help="only scenarios that are evidence for this one")
    group.addoption("--nemesis-seed", metavar="N", type=int, default=1, help="what the nemeses draw by (default: 1)")
    group.addoption("--deviations", metavar="FILE", help="declared differences of the `cassette` fixture")
    about = "fork stack and hub from a process that has imported their code: quick, and no measure of what they take"
    group.addoption("--warm", action="store_true", help=about)
    group.addoption(
        "--machine-log", metavar="FILE", help="what a watcher of the machine writes (default: one of its own)"
    )
    group.addoption("--run-folder", metavar="DIR", help="where logs go")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and the fixtures where they can work."""
    for protocol, target in (("--protocol", "--candidate"), ("--legacy-protocol", "--legacy")):
        if config.getoption(protocol) and not config.getoption(target):
            raise pytest.UsageError(f"{protocol} tells of a target that runs already: {target} URL")
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if all(find_spec(name) for name in NEEDED):
        config.pluginmanager.register(import_module(FIXTURES), FIXTURES)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is evidence for other criteria than those asked for."""
    wanted: list[str] = config.getoption("--criterion") or []
    left_out: list[pytest.Item] = []
    for item in items:
        marker = item.get_closest_marker("criterion")
        if marker is not None:
            item.user_properties.append(("criterion", marker.args[0]))
        if wanted and (marker is None or marker.args[0] not in wanted):
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
