"""The long run in small: it breaks what it says, and its account adds up."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from loadtests.endurance import Outcome, Size, endure

SMALL = Size(jobs=60, rate=6, workers=3, worker_kills=2, api_kills=1, redis_kills=1, drain_s=20)


@pytest.mark.timeout(240)
async def test_nothing_is_lost_in_a_small_run_with_kills_of_everything(tmp_path: Path) -> None:
    outcome = await endure(SMALL, tmp_path)
    assert outcome.status == 0, outcome.sentences
    assert outcome.acknowledged >= 40
    assert outcome.completed == outcome.acknowledged
    assert outcome.strikes["killed"] >= 3
    assert outcome.strikes["redis_down"] == 1


def test_one_broken_promise_is_a_failure() -> None:
    sound = Outcome(acknowledged=9, completed=9, broken={"lost": 0, "stuck": 0}, strikes={}, sentences=[])
    assert sound.status == 0
    assert replace(sound, broken={"lost": 0, "stuck": 1}).status == 1
