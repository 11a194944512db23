"""Where a worker's settings come from."""

from __future__ import annotations

import pytest

from new_stack.settings import SettingsError
from new_stack.worker import WorkerSettings
from new_stack.worker.__main__ import read_settings


def test_options_beat_the_environment_and_that_beats_the_defaults() -> None:
    environment = {
        "REDIS_URL": "redis://there:1/2",
        "HUBGATE_PREFIX": "p:",
        "WORKER_ID": "w7",
        "WORKER_CONNECTORS": "simulation:step_ms=1,rest-sync:url=http://h",
        "WORKER_POLL_INTERVAL_MS": "250",
        "WORKER_MAX_CONCURRENT_JOBS": "4",
        "WORKER_JOB_TIMEOUT_MINUTES": "0.5",
    }
    settings = read_settings(["--concurrency", "9", "--connector", "simulation", "--prefix", "q:"], environment)
    assert (settings.worker_id, settings.max_concurrent_jobs, settings.poll_interval_ms) == ("w7", 9, 250)
    assert (settings.queue.redis_url, settings.queue.prefix) == ("redis://there:1/2", "q:")
    assert (settings.job_timeout_minutes, settings.heartbeat_interval_ms) == (0.5, 5000)
    assert [spec.name for spec in settings.connectors] == ["simulation"]
    assert [spec.name for spec in WorkerSettings.from_environment(environment).connectors] == [
        "simulation",
        "rest-sync",
    ]


def test_several_connectors_may_be_given_each_with_its_settings() -> None:
    options = ["--connector", "simulation", "--connector", "rest-sync:url=http://h,timeout_s=3"]
    first, second = read_settings(options, {}).connectors
    assert (first.options, second.options) == ({}, {"url": "http://h", "timeout_s": "3"})


def test_a_worker_without_a_name_gets_one_that_nobody_else_has() -> None:
    names = {WorkerSettings().worker_id for _ in range(50)}
    assert len(names) == 50


@pytest.mark.parametrize(
    "environment",
    [
        {"WORKER_POLL_INTERVAL_MS": "0"},
        {"WORKER_POLL_INTERVAL_MS": "1.5"},
        {"WORKER_JOB_TIMEOUT_MINUTES": "-1"},
        {"WORKER_CONNECTORS": "  ,"},
        {"WORKER_ID": "x" * 201},
        {"WORKER_HEARTBEAT_INTERVAL_MS": "6000"},
    ],
)
def test_a_value_that_cannot_work_is_refused_by_its_name(environment: dict[str, str]) -> None:
    [name] = environment
    with pytest.raises(SettingsError, match=name):
        WorkerSettings.from_environment({"WORKER_CONNECTORS": "simulation"} | environment)
