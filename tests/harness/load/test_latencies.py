from __future__ import annotations

import math
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.load.latencies import Cell, Histogram, Metric, Recorder, Transport

latencies = st.lists(st.floats(0.000_002, 500), min_size=1, max_size=200)


@settings(deadline=None)
@given(latencies, st.sampled_from([50.0, 90.0, 99.0, 100.0]))
def test_a_percentile_is_exact_to_a_thousandth(values: list[float], percent: float) -> None:
    exact = sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
    assert Histogram.of(values).percentiles_ms(percent)[0] == pytest.approx(exact * 1000, rel=0.001, abs=0.001)


@settings(deadline=None)
@given(st.lists(latencies, min_size=1, max_size=4))
def test_histograms_of_workers_add_up_to_the_one_of_a_single_process(parts: list[list[float]]) -> None:
    merged = Histogram()
    for part in parts:
        merged.add(Histogram.load(Histogram.of(part).dump()))
    assert merged.series("all") == Histogram.of(value for part in parts for value in part).series("all")


def test_recorders_merge_by_figure_wire_and_window() -> None:
    chance = random.Random(7)
    alone, master = Recorder(), Recorder()
    workers = [Recorder(), Recorder()]
    for number in range(2000):
        metric, transport = chance.choice(list(Metric)), chance.choice(list(Transport))
        second, latency = chance.uniform(0, 10), chance.lognormvariate(-4, 1)
        alone.record(metric, transport, second=second, latency_s=latency)
        workers[number % 2].record(metric, transport, second=second, latency_s=latency)
        if number % 300 == 0:
            master.merge(msgspec.json.decode(msgspec.json.encode(workers[0].take()), type=list[Cell]))
    for worker in workers:
        master.merge(worker.take())
        assert worker.take() == []
    for metric in Metric:
        for transport in (*Transport, None):
            assert master.total(metric, transport).series("x") == alone.total(metric, transport).series("x")
        assert [(s, h.count) for s, h in master.over_time(metric)] == [(s, h.count) for s, h in alone.over_time(metric)]


@settings(deadline=None)
@given(latencies, st.sampled_from([0.0, 50.0, 90.0, 99.0, 99.9, 100.0]))
def test_a_series_tells_the_percentiles_of_its_histogram(values: list[float], percent: float) -> None:
    histogram = Histogram.of(values)
    assert histogram.series("all").at(percent) == histogram.percentiles_ms(percent)[0]


def test_the_slowest_jobs_of_each_window_are_named_whoever_saw_them() -> None:
    master, workers = Recorder(), [Recorder(), Recorder()]
    for number, latency in enumerate([0.5, 0.1, 0.9, 0.7, 0.2, 0.8]):
        for _ in range(2):
            workers[number % 2].record(
                Metric.ENDED, Transport.SSE, second=4.5, latency_s=latency, job_id=f"job-{number}"
            )
    workers[0].record(Metric.ENDED, Transport.WEBSOCKET, second=9, latency_s=0.3, job_id="alone")
    for worker in workers:
        master.merge(msgspec.json.decode(msgspec.json.encode(worker.take()), type=list[Cell]))
    assert master.slowest(Metric.ENDED) == {4: {"job-2": 900, "job-5": 800, "job-3": 700}, 9: {"alone": 300}}
    assert list(master.slowest(Metric.ENDED)[4]) == ["job-2", "job-5", "job-3"]
    assert master.slowest(Metric.CLAIMED) == {}


def test_a_value_is_counted_where_its_cause_lies() -> None:
    recorder = Recorder(window_s=2)
    recorder.record(Metric.ENDED, Transport.SSE, second=3.9, latency_s=30)
    assert [second for second, _ in recorder.over_time(Metric.ENDED)] == [2]


def test_an_empty_figure_says_that_it_is_empty() -> None:
    series = Recorder().total(Metric.CLAIMED).series("all")
    assert (series.count, series.at(99), series.mean) == (0, None, None)
