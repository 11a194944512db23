from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import CouldNotRun
from harness.load.population import DEFAULT, NOT_ON_A_HUB, Kind, PlannedJob, Population, read_population
from harness.load.spec import LoadSpec
from harness.protocols import EventKind
from harness.targets import Side

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
    population = msgspec.structs.replace(POPULATION, services={"a": 3.0, "b": 1.0, "never": 0.0}, crews=())
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
        (Kind.SLOW, {EventKind.COMPLETED}),
        (Kind.BATCH, {EventKind.COMPLETED}),
        (Kind.POISON, {EventKind.FAILED}),
        (Kind.OVERLONG, {EventKind.FAILED}),
        (Kind.HUGE, {EventKind.COMPLETED}),
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


def test_what_takes_long_comes_early_so_many_times_whatever_the_weights() -> None:
    jobs = [POPULATION.job(number, "j", seed=1, jobs=300).kind for number in range(300)]
    early = [number for number, kind in enumerate(jobs) if kind in (Kind.POISON, Kind.OVERLONG, Kind.HUGE)]
    assert Counter(jobs[number] for number in early) == {
        kind: POPULATION.early[kind] for kind in (Kind.POISON, Kind.OVERLONG, Kind.HUGE)
    }
    assert max(early) < 100
    few = {POPULATION.job(number, "j", seed=1, jobs=9).kind for number in range(12)}
    assert few >= POPULATION.early.keys(), "also in a load of few jobs"


def test_the_jobs_of_a_batch_have_ids_and_results_of_their_own() -> None:
    batch = only(Kind.BATCH)
    ids = [one.submission.job_id for one in (batch, *batch.beside)]
    assert ids == ["job-0", "job-0-1", "job-0-2", "job-0-3"]
    assert [one.expected.result["job"] for one in (batch, *batch.beside)] == ids
    assert not only(Kind.PLAIN).beside


def test_a_hub_gets_the_part_that_it_understands() -> None:
    spec = LoadSpec(side=Side.HUB, population=POPULATION)
    assert spec.population
    assert not {spec.population.job(n, "j", seed=1, jobs=300).kind for n in range(300)} & NOT_ON_A_HUB
    assert LoadSpec(population=POPULATION).population == POPULATION


def test_the_checkers_know_the_settings_of_a_population() -> None:
    shortened = msgspec.structs.replace(POPULATION, settings={"HUBGATE_MAX_DELIVERIES": "4"})
    assert LoadSpec(population=shortened).limits.max_deliveries == 4


def test_a_job_that_is_cancelled_while_it_waits_is_for_a_service_that_nobody_serves() -> None:
    assert only(Kind.CANCELLED_WAITING).submission.service not in {
        s for crew in POPULATION.crews for s in crew.services
    }


def test_workers_that_leave_a_service_out_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.toml"
    path.write_text(DEFAULT.read_text().replace('"transcribe"', '"translate"'))
    with pytest.raises(CouldNotRun, match="no worker serves 'transcribe'"):
        read_population(path)


def test_on_a_target_that_others_use_no_job_needs_what_others_need_or_serve() -> None:
    whole = read_population()
    shared = whole.on_shared("-0f3a")
    jobs = [shared.job(number, f"job-{number}", seed=7, jobs=400) for number in range(400)]
    assert {job.submission.service for job in jobs} == set(shared.all_services)
    assert not set(shared.all_services) & set(whole.all_services)
    assert {service for crew in shared.crews for service in crew.services} == set(shared.services)
    assert Kind.POISON not in {job.kind for job in jobs}, "how often a worker may die over a job is the target's to say"
