from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.criteria.limits import DEFAULT, Limits, UnreadableThresholds, load_thresholds
from harness.criteria.statements import STATEMENTS, CriterionId
from harness.gate.profiles import PROFILES


def test_the_file_that_ships_is_read_and_serves_every_profile() -> None:
    assert set(load_thresholds().least) == set(PROFILES)


def test_every_criterion_has_a_statement_and_a_table_of_limits() -> None:
    assert list(STATEMENTS) == list(CriterionId)
    assert {field.encode_name for field in msgspec.structs.fields(Limits)} == set(CriterionId)


def test_each_profile_does_at_least_what_its_criteria_need() -> None:
    for name, least in load_thresholds().least.items():
        profile = PROFILES[name]
        assert profile.workers >= least.workers
        assert profile.load_rate * profile.load_s >= least.load_jobs
        assert profile.load_s >= least.load_seconds
        assert profile.fault_jobs >= least.fault_jobs
        assert profile.kill_waves * (profile.workers // 3) >= least.kills


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("p99_ms = 20", "p99_millis = 20"), "p99_m"),
        (("[criteria.memory]", "[criteria.memories]"), "memor"),
        (("schema = 1", "schema = 2"), "schema 2"),
        (("p99_ms = 20", 'p99_ms = "fast"'), "p99_ms"),
        (("schema = 1", "schema = "), "value"),
    ],
)
def test_a_wrong_file_is_told_in_one_sentence(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(DEFAULT.read_text().replace(*change, 1))
    with pytest.raises(UnreadableThresholds, match=says) as caught:
        load_thresholds(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableThresholds, match="No such file"):
        load_thresholds(tmp_path / "none.toml")
