"""Generated mixes: recorded whole, found on a sound stack, and shrunk on one that is wrong."""

import asyncio
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from harness import defects
from harness.cassettes import load, save
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
    record_mix,
)
from harness.parity.deviations import Deviations
from harness.processes import Process, Processes, Valkey, services, start_valkey
from harness.targets import REPLAYED, HubTarget, StackPool

TODAY = dt.date(2026, 11, 24)
EVERYTHING: tuple[Move, ...] = (
    Submit(0, 0),
    Submit(1, 5),
    Claim(0),
    Progress(0, 50),
    Ask(1, 0),
    Claim(1),
    Fail(1),
    Claim(0),
    Complete(0),
    Claim(0),
    Submit(0, 1),
    Cancel(0, 0),
    Ask(0, 1),
)


@pytest.fixture(scope="module")
def hub(processes: Processes) -> HubTarget:
    process: Process = processes.start(services.hub(name="mixes-hub"))
    return HubTarget(http_url=process.http_url, owned=True)


async def test_a_mix_is_a_cassette_like_any_other(hub: HubTarget, tmp_path: Path) -> None:
    cassette = await record_mix(EVERYTHING, hub)
    save(cassette, tmp_path / "mix.jsonl")
    assert load(tmp_path / "mix.jsonl") == cassette
    assert cassette.roles == {"client-1": "client", "client-2": "client", "worker-1": "worker", "worker-2": "worker"}


async def test_steps_that_are_impossible_are_left_out(hub: HubTarget) -> None:
    empty = await record_mix((), hub)
    idle = await record_mix((Claim(0), Progress(0, 5), Complete(1), Fail(0), Cancel(0, 3), Ask(1, 1)), hub)
    assert len(idle.events) == len(empty.events)


async def test_a_sound_stack_tells_the_same(
    hub: HubTarget, processes: Processes, valkey: Valkey, deviations: Deviations
) -> None:
    stack = StackPool(processes, valkey, replace(REPLAYED, name="mixes-api", retry_backoff_ms=0), first_database=40)
    found = await compare_on_both(EVERYTHING, hub, stack, deviations, TODAY)
    assert found.sentences == ()


@pytest.mark.timeout(300)
def test_on_a_stack_that_is_wrong_the_fewest_steps_that_show_it_are_found(
    hub: HubTarget, processes: Processes, deviations: Deviations, tmp_path: Path
) -> None:
    overlay = defects.apply(defects.named("last-in-first-out"), tmp_path / "overlay")
    setup = replace(REPLAYED, name="wrong-api", retry_backoff_ms=0, overlay=overlay)
    stack = StackPool(processes, start_valkey(processes, name="wrong"), setup)

    def differs(steps: tuple[Move, ...]) -> bool:
        return bool(asyncio.run(compare_on_both(steps, hub, stack, deviations, TODAY)).sentences)

    few = st.integers(0, 1)
    steps = st.one_of(st.builds(Submit, few, few), st.builds(Claim, few), st.builds(Complete, few))
    smallest = find(
        st.lists(steps, max_size=8).map(tuple),
        differs,
        settings=settings(
            max_examples=40,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert smallest == (Submit(0, 0), Submit(0, 0)), "the second one is told that it is the first in the line"
