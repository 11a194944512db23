from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import CouldNotRun
from harness.load.population import Kind, PlannedJob, Population, read_population
from harness.protocols import EventKind

POPULATION = read_population()


def drawn(number: int, seed: int = 1, population: Population = POPULATION) -> PlannedJob:
    return population.job(number, f"job-{number}", seed=seed)


def only(kind: Kind, **more: object) -> PlannedJob:
    return drawn(0, population=msgspec.structs.replace(POPULATION, kinds={kind: 1.0}, **more))


@given(st.integers(0, 10_000), st.integers(0, 50))
def test_the_same_seed_draws_the_same_job(number: int, seed: int) -> None:
    assert drawn(number, seed) == drawn(number, seed)


def test_another_seed_draws_another_population() -> None:
    assert [drawn(number, 1) for number in range(20)] != [drawn(number, 2) for number in range(20)]


def test_jobs_are_drawn_by_their_weights_and_what_weighs_nothing_never() -> None:
    population = msgspec.structs.replace(POPULATION, services={"a": 3.0, "b": 1.0, "never": 0.0})
    services = Counter(drawn(number, population=population).submission.service for number in range(2000))
    assert services["never"] == 0
    assert services["a"] / services["b"] == pytest.approx(3, rel=0.25)


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        (Kind.PLAIN, {EventKind.COMPLETED}),
        (Kind.INSTANT, {EventKind.COMPLETED}),
        (Kind.RETRIED, {EventKind.COMPLETED}),
        (Kind.FAILING, {EventKind.FAILED}),
        (Kind.CANCELLED_WAITING, {EventKind.COMPLETED, EventKind.CANCELLED}),
        (Kind.CANCELLED_RUNNING, {EventKind.COMPLETED, EventKind.CANCELLED}),
        (Kind.CANCELLED_IN_BACKOFF, {EventKind.FAILED, EventKind.CANCELLED}),
    ],
)
def test_what_is_expected_follows_from_the_jobs_own_script(kind: Kind, ends: set[EventKind]) -> None:
    job = only(kind)
    assert job.expected.ends == ends
    assert (job.expected.cancel_on is not None) == (EventKind.CANCELLED in ends)
    assert job.expected.result == {"status": "success", "job": "job-0"}


@settings(deadline=None)
@given(st.sampled_from([0, 1, 1000, 1_000_000]))
def test_a_payload_is_of_the_size_that_was_drawn(size: int) -> None:
    payload = only(Kind.PLAIN, payload_bytes={size: 1.0}).submission.payload
    assert len(payload.get("padding", "")) == size


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[kinds]\nplain = 1\n", "services"),
        ("[kinds]\nstrange = 1\n[services]\n[priorities]\n[payload_bytes]\n", "strange"),
        ("[kinds]\nplain = 0\n[services]\na = 1\n[priorities]\n0 = 1\n[payload_bytes]\n0 = 1\n", "kinds"),
        ("[kinds", "weights.toml"),
    ],
)
def test_weights_that_cannot_be_read_are_refused_with_their_place(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "weights.toml"
    path.write_text(text)
    with pytest.raises(CouldNotRun, match=why):
        read_population(path)
