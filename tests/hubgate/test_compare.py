"""`hubgate compare` and `trend` over kept runs."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.results import save
from hubgate.cli import cli
from hubgate.cli.compare import bars
from tests.harness.results.test_trend import p99, run


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    for number, value in enumerate((10.0, 10.2, 10.1)):
        save(run(number, p99(value)), tmp_path / f"run-{number}")
    (tmp_path / "latest").symlink_to("run-2")
    save(run(9, p99(15.0)), tmp_path / "new" / "run-9")
    return tmp_path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def test_a_regression_within_its_limit_is_shown_and_fails_where_asked(kept: Path) -> None:
    shown = call("compare", kept, kept / "new" / "run-9")
    assert (shown.exit_code, "1 figure is worse than in 3 earlier runs." in shown.output) == (0, True)
    assert "15 ms, was 10.1 ms (49 % more)" in " ".join(shown.output.split())
    assert call("compare", kept, kept / "new" / "run-9", "--fail-on-worse").exit_code == 1
    assert call("compare", kept, kept / "run-1", "--fail-on-worse").exit_code == 0


def test_the_trend_shows_each_figure_over_all_runs(kept: Path) -> None:
    output = call("trend", kept).output
    assert [word for word in output.split() if set(word) <= set("▁▂▃▄▅▆▇█")] == ["▁█▅"]


def test_a_folder_without_a_run_is_said_to_have_none(tmp_path: Path) -> None:
    result = call("trend", tmp_path)
    assert "there is no run in" in str(result.exception)


def test_bars_of_equal_values_are_equal() -> None:
    assert bars([3, 3]) == "▁▁"
