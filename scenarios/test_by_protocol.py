"""What a protocol alone can tell of a hub and a stack: submitted, told of, cancelled, asked for, moved over and back.

Run where `--protocol` names what the given stack speaks; the other suites are skipped there. What is asked is what
`hubgate gate --protocol` asks (`harness/gate/spoken/checks.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from harness.clients.spoken_client import NotTold
from harness.clients.spoken_side import NotAsked
from harness.gate.spoken.checks import CHECK_S, CHECKS, Broken, Pair, Run
from harness.testing import Server
from harness.testing.fixtures import ending, side_of

pytestmark = [pytest.mark.by_protocol, pytest.mark.timeout(CHECK_S)]


@pytest_asyncio.fixture
async def pair(request: pytest.FixtureRequest, _hubgate_hub: Server, _hubgate_stack: Server) -> AsyncIterator[Pair]:
    """The hub, given or simulated, and the stack that was given."""
    async with ending(side_of(request, _hubgate_hub)) as hub, ending(side_of(request, _hubgate_stack)) as stack:
        yield Pair(hub=hub, stack=stack)


@pytest.mark.parametrize(
    "check",
    [pytest.param(check, id=check.__name__, marks=pytest.mark.criterion(criterion)) for criterion, check in CHECKS],
)
async def test_by_its_protocol(pair: Pair, check: Run) -> None:
    try:
        await check(pair)
    except NotAsked as why:
        pytest.skip(str(why))
    except (Broken, NotTold) as wrong:
        pytest.fail(str(wrong), pytrace=False)
