"""Phase 2A, 3: mixes of clients, jobs and workers that nobody thought of, first on the hub and then on the stack.

What the hub says becomes the recording that the stack is found against, once with old clients and once with clients of
HTTP and events. A failure is shrunk to the fewest steps, and their recording is saved: `hubgate replay` plays it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cassettes import save
from harness.cassettes.replay.generated_cassettes import (
    Ask,
    Cancel,
    Claim,
    Complete,
    Fail,
    Move,
    Progress,
    Submit,
    compare_on_both,
)
from harness.parity.deviations import Deviations
from harness.targets import HubTarget, StackPool
from scenarios.stacks import Stacks

pytestmark = [pytest.mark.criterion("mixed-clients"), pytest.mark.long, pytest.mark.timeout(180)]

FEW = st.integers(0, 1)
PLACES = st.integers(0, 5)
STEPS: st.SearchStrategy[Move] = st.one_of(
    st.builds(Submit, client=FEW, priority=PLACES),
    st.builds(Claim, worker=FEW),
    st.builds(Progress, worker=FEW, percent=st.sampled_from((0, 10, 50, 99, 100))),
    st.builds(Complete, worker=FEW),
    st.builds(Fail, worker=FEW),
    st.builds(Cancel, client=FEW, nth=PLACES),
    st.builds(Ask, client=FEW, nth=PLACES),
)


@pytest.fixture(scope="module")
def pool(request: pytest.FixtureRequest) -> StackPool:
    if request.config.getoption("--candidate") or request.config.getoption("--legacy"):
        pytest.skip("needs a hub and a stack that are empty at every beginning")
    stacks: Stacks = request.getfixturevalue("stacks")
    # A failed job may be taken again at once: how long it rests is not what the hub could be asked about.
    setup = stacks.setup(name="mixes-api", lease_ms=3_000, retry_backoff_ms=0, environment={})
    return StackPool(stacks.processes, stacks.redis, setup)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=20).map(tuple))
def test_whatever_clients_do_is_told_alike(
    steps: tuple[Move, ...], pool: StackPool, hub: HubTarget, hubgate_run_folder: Path
) -> None:
    deviations = Deviations.load(Path(__file__).with_name("deviations.toml"))
    found = asyncio.run(compare_on_both(steps, hub, pool, deviations, dt.datetime.now(dt.UTC).date()))
    if found.sentences:
        smallest = hubgate_run_folder / "smallest-mix.jsonl"
        save(found.cassette, smallest)
        pytest.fail(f"{found.sentences[0]} The smallest recording that shows it is {smallest}.", pytrace=False)
