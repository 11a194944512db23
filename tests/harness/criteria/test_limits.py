from __future__ import annotations

from pathlib import Path

import pytest

from harness.criteria import claims, nothing_lost
from harness.criteria.definition import discover
from harness.criteria.limits import DEFAULT, load_limits
from harness.gate.profiles import PROFILES
from harness.toml_files import UnreadableFile


def test_the_file_that_ships_has_every_criterion_for_every_profile() -> None:
    specs = discover()
    limits = load_limits(specs)
    assert set(limits.order) == set(specs)
    for spec in specs.values():
        assert isinstance(limits.limits(spec), spec.limits)
        for profile in PROFILES.values():
            if not profile.criteria or spec.id in profile.criteria:
                assert isinstance(limits.least(spec, profile.name), spec.least)


def test_a_criterion_is_called_as_its_module_is_unless_one_judge_has_several() -> None:
    assert len(discover()) == 23
    for name, spec in discover().items():
        assert spec.judge.__module__ in {
            f"harness.criteria.{name.replace('-', '_')}",
            "harness.criteria.recordings",
            "harness.criteria.suites",
        }


def test_each_profile_does_at_least_what_its_criteria_need() -> None:
    limits = load_limits(discover())
    for name, profile in PROFILES.items():
        faults = limits.least(nothing_lost.CRITERION, name)
        if not profile.criteria:
            load = limits.least(claims.CRITERION, name)
            assert profile.workers >= load.workers
            assert profile.load_rate * profile.load_s >= load.jobs
            assert profile.load_s >= load.seconds
        assert profile.fault_jobs >= faults.jobs
        assert profile.kill_waves * (profile.workers // 3) >= faults.kills


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("p99_ms = 20", "p99_millis = 20"), "p99_m"),
        (("[memory]", "[memories]"), "memor"),
        (("schema = 2", "schema = 1"), "schema 1"),
        (("p99_ms = 20", 'p99_ms = "fast"'), "p99_ms"),
        (("schema = 2", "schema = "), "value"),
        (("least.quick = { workers = 48, jobs = 400,", "least.quick = { workers = 48,"), "jobs"),
        (("[migration]\nfailed_scenarios = 0\n", "[migration]\n"), "failed_scenarios"),
    ],
)
def test_a_wrong_file_is_told_in_one_sentence(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(DEFAULT.read_text().replace(*change, 1))
    with pytest.raises(UnreadableFile, match=says) as caught:
        load_limits(discover(), file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        load_limits(discover(), tmp_path / "none.toml")
