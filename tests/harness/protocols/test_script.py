from __future__ import annotations

import pytest

from harness.protocols import EventKind
from harness.protocols.script import NOTHING_EXPECTED, Expectation, expectation_of, sent_at, steps_of


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([{"progress": 10}, {"sleep_ms": 5}, {"progress": 50}], ((10, 50), EventKind.COMPLETED)),
        ([{"progress": 10}, {"fail": "CUDA out of memory"}], ((10,), EventKind.FAILED)),
        ([{"fail": "once", "attempts": 1}, {"progress": 5}], ((5,), EventKind.COMPLETED)),
        ([{"fail": "always", "attempts": 4}, {"progress": 5}], ((), EventKind.FAILED)),
        ([{"result": {"success": False, "error": "no model"}}], ((), EventKind.FAILED)),
    ],
)
def test_a_script_tells_its_steps_and_its_end(
    script: list[dict[str, object]], expected: tuple[tuple[float, ...], EventKind]
) -> None:
    steps, end = expected
    assert expectation_of({"simulate": script}) == Expectation(steps=steps, end=end)


def test_a_script_that_hangs_has_no_end() -> None:
    hanging = expectation_of({"simulate": [{"progress": 10}, {"hang": True}]})
    assert hanging == Expectation(steps=(10,), hangs=True)


@pytest.mark.parametrize("payload", [None, "text", {"prompt": "a cat"}, {"simulate": [{"jump": 1}]}])
def test_nothing_is_expected_of_what_no_script_describes(payload: object) -> None:
    assert expectation_of(payload) == NOTHING_EXPECTED


def test_a_malformed_script_is_refused() -> None:
    with pytest.raises(ValueError, match=r"payload\.simulate is not a script"):
        steps_of({"simulate": [{"jump": 1}]})
    assert [step.progress for step in steps_of({})] == [25, 50, 75, 100]


def test_a_failing_step_counts_attempts() -> None:
    (step,) = steps_of({"simulate": [{"fail": "no", "attempts": 2}]})
    assert [step.fails(attempt) for attempt in (1, 2, 3)] == [True, True, False]


@pytest.mark.parametrize(
    ("details", "time"), [({"sent_at": 2}, 2.0), ({"sent_at": True}, None), ({}, None), ("x", None)]
)
def test_the_workers_send_time(details: object, time: float | None) -> None:
    assert sent_at(details) == time
