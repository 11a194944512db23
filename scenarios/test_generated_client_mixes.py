"""Mixes of clients that nobody thought of, with real workers: both kinds are told the same, and it is what happened.

A mix that fails is made smaller and smaller; the smallest stays in the run's folder, as `smallest-client-mix.jsonl`.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.cassettes import load
from harness.cassettes.record import Recorder, Sessions
from harness.testing import Server
from scenarios.client_mixes import ClientKind, Ending, JobPlan, play, told
from scenarios.stacks import script

pytestmark = pytest.mark.criterion("mixed-clients")

EXAMPLES: Final = 16
SHRINKING_S: Final = 15.0
"""How long a failure is made smaller."""

job_plans = st.builds(
    JobPlan,
    by=st.sampled_from(ClientKind),
    priority=st.integers(-2, 2),
    steps=st.lists(st.integers(0, 100), max_size=5).map(tuple),
    ending=st.sampled_from(Ending),
    cancelled_by=st.none() | st.none() | st.sampled_from(ClientKind),
    cancelled_after=st.integers(0, 7),
    cut_after=st.none() | st.integers(1, 3),
    drops=st.booleans(),
)
mixes = st.lists(job_plans, min_size=1, max_size=5)


class Found:
    """The failures of one search: the newest is the smallest, and after a while only known ones are played again."""

    def __init__(self, folder: Path) -> None:
        self.smallest: Final = folder / "smallest-client-mix.jsonl"
        self._folder = folder
        self._failing: set[str] = set()
        self._until = 0.0

    def worth_playing(self, mix: Sequence[JobPlan]) -> bool:
        """Whether there is time for another one."""
        return not self._failing or repr(mix) in self._failing or time.monotonic() < self._until

    async def recorded(self, stack: Server, mix: Sequence[JobPlan], act: Callable[..., Any]) -> None:
        """Play a mix through a recorder. What is recorded of one that fails is kept."""
        recording = self._folder / "client-mix.jsonl"
        sessions = Sessions(recording, about=told(mix), target="stack")
        sessions.begin(mix_goes_on := object())
        try:
            async with Recorder(stack.http_url, sessions) as recorder:
                await act(Server.of_stack(recorder.url, service=stack.service), mix)
        except BaseException:
            self._until = self._until or time.monotonic() + SHRINKING_S
            self._failing.add(repr(mix))
            sessions.end(mix_goes_on)
            shutil.move(recording, self.smallest)
            raise
        sessions.end(mix_goes_on)


@pytest.mark.timeout(120)
def test_whatever_clients_do_at_once_both_kinds_are_told_what_happened(stack: Server, run_folder: Path) -> None:
    found = Found(run_folder)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(mixes)
    def search(mix: list[JobPlan]) -> None:
        if found.worth_playing(mix):
            asyncio.run(found.recorded(stack, mix, play))

    search()


async def test_a_mix_that_fails_is_kept_as_a_cassette(stack: Server, tmp_path: Path) -> None:
    found = Found(tmp_path)

    async def act(recorded: Server, mix: Sequence[JobPlan]) -> None:
        await play(recorded, mix)
        async with recorded.modern() as client:
            job_id = await client.submit(script(1))
            raise LookupError(f"as if {job_id} had been told wrongly")

    with pytest.raises(LookupError):
        await found.recorded(stack, [JobPlan(by=ClientKind.OLD, steps=(50,))], act)
    cassette = load(found.smallest)
    assert {"client", "sse", "http"} <= set(cassette.roles.values())
    assert found.worth_playing([JobPlan(by=ClientKind.OLD, steps=(50,))])
