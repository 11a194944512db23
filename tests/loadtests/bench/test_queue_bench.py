"""The benchmark of the queue: small, but whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from harness.processes import Processes, start_valkey
from loadtests.bench import competitors, history_cost, queue_microbench
from loadtests.bench.history_cost import FleetCost, HistoryCost, measure_fleet, measure_history
from loadtests.bench.measure import Measured, Size, Trial
from loadtests.bench.queue_microbench import Claims, Own
from loadtests.bench.table import show

SMALL = Size(each=50, bulk=1_000, drain=1_000, idle_seconds=0.5, paced=10, every=0.01)


def test_our_queue_is_measured_with_its_real_workers(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        trial = Trial("hubgate", competitors.command(tmp_path, "hubgate"), start_valkey(processes), processes, SMALL)
        measured = Measured(name="hubgate")
        trial.measure(measured, worker_count=2)
    assert measured.note == ""
    figures = [measured.each_per_s, measured.bulk_per_s, measured.drain_per_s, measured.worker_pss_mb]
    assert all(figure is not None and figure > 0 for figure in figures), figures
    assert measured.p50_ms is not None
    assert measured.p50_ms > 0
    assert measured.redis_commands_per_job is not None
    assert measured.redis_cpu_ms is not None
    assert 5 < measured.redis_commands_per_job < 60
    assert measured.redis_cpu_ms > 0
    assert measured.round_trips_per_job is not None
    assert 1 < measured.round_trips_per_job < 10


def test_a_system_that_is_not_there_is_said_not_to_be_there(tmp_path: Path) -> None:
    assert competitors.version(tmp_path, "no-such-queue") == ""
    text = show(2, [Measured(name="hubgate", p50_ms=1.0), Measured(name="other", note="could not be installed")], None)
    assert "other: could not be installed" in text


def test_every_competitor_has_an_adapter_that_says_its_shape() -> None:
    for name in competitors.NAMES:
        count, shape = competitors.shape_of(name)
        assert shape.startswith(f"{count} processes of ")


def test_ratios_say_how_many_times_better_ours_is_either_way() -> None:
    ours = Measured(name="hubgate", p50_ms=0.5, drain_per_s=9_000.0)
    other = Measured(name="other", p50_ms=2.0, drain_per_s=18_000.0)
    figures = Claims(plain_us=100, routed_us=103, matched_us=180)
    history = HistoryCost(with_per_s=4_920, without_per_s=5_000, with_cpu_ms=60.6, without_cpu_ms=60)
    own = Own(
        few_us=100,
        many_us=110,
        ended_us=120,
        claims=figures,
        history=history,
        fleet=FleetCost(with_per_s=9_900, without_per_s=10_000),
        recovered=20,
        recovery_s=11.5,
    )
    text = show(2, [ours, other], own)
    assert "2.00 (4.0)" in text
    assert "18,000 (0.5)" in text
    assert "(1.10 times)" in text
    assert "(1.20 times)" in text
    assert "103 µs of 4 services (1.03 times)" in text
    assert "180 µs of 50 signatures for 48 unlike workers (1.80 times)" in text
    assert "4,920 jobs/s with it and 5,000 without (1.6% of the rate)" in text
    assert "60.6 and 60.0 ms for 1,000 jobs (+1.0%)" in text
    assert "9,900 jobs/s with it and 10,000 without (1.0% of the rate)" in text
    assert "20 of 20 ran again within 11.5 s" in text


def test_the_table_can_stand_on_a_page() -> None:
    ours = Measured(name="hubgate", version="1", shape="4 processes of 10", p50_ms=0.5)
    header, rule, row, *rest = show(2, [ours], None, markdown=True).strip().splitlines()
    assert header.startswith("| system")
    assert set(rule) <= set("|-: ")
    assert row.startswith("| hubgate 1, 4 processes of 10 | ")
    assert header.count("|") == rule.count("|") == row.count("|")
    assert "40 workers, one Valkey, 2 cores" in "\n".join(rest)


def test_claims_are_measured_by_service_and_by_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_microbench, "WAITING", 1_000)
    monkeypatch.setattr(queue_microbench, "ROUNDS", 1)
    with Processes(tmp_path) as processes:
        trial = Trial("hubgate", competitors.command(tmp_path, "hubgate"), start_valkey(processes), processes, SMALL)
        found = asyncio.run(queue_microbench.measure_claims(trial))
    assert min(found.plain_us, found.routed_us, found.matched_us) > 0


def test_the_history_is_measured_against_the_same_queue_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails where the history is switched off on none or on both of them."""
    monkeypatch.setattr(history_cost, "TURNS", 2)
    with Processes(tmp_path) as processes:
        trial = Trial("hubgate", competitors.command(tmp_path, "hubgate"), start_valkey(processes), processes, SMALL)
        found = asyncio.run(measure_history(trial))
    assert min(found.with_per_s, found.without_per_s, found.with_cpu_ms, found.without_cpu_ms) > 0


def test_the_history_is_measured_by_a_fleet_that_drains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_cost, "FLEET_TURNS", 2)
    with Processes(tmp_path) as processes:
        trial = Trial("hubgate", competitors.command(tmp_path, "hubgate"), start_valkey(processes), processes, SMALL)
        found = measure_fleet(trial, 1)
    assert min(found.with_per_s, found.without_per_s) > 0
