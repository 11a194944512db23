"""Every way of spoiling a sound history is found, by the checker that should, for the job that was spoilt."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from harness.history import CHECKERS, History
from tests.harness.history import corruptions_of_delivery, corruptions_of_runs  # noqa: F401 - they add their own
from tests.harness.history.corruptions import CORRUPTIONS
from tests.harness.history.sound import LIMITS, SoundQueue


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(seed=st.integers(0, 2**32))
def test_a_corruption_is_found(name: str, seed: int) -> None:
    check, form, corrupt = CORRUPTIONS[name]
    sound = History(SoundQueue(Random(seed), jobs=25).run())
    spoilt = corrupt(sound, Random(seed))
    assume(spoilt is not None)
    assert spoilt
    events, job_id = spoilt
    result = CHECKERS[check](History(events), LIMITS)
    found = {(violation.job_id, violation.form) for violation in result.violations}
    assert (job_id, form) in found


def test_every_checker_has_a_corruption() -> None:
    assert {check for check, _, _ in CORRUPTIONS.values()} == set(CHECKERS)
