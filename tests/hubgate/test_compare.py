"""`hubgate compare` and `trend` over kept runs."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from harness.errors import CouldNotRun
from harness.processes import Launch, Process, Processes, free_port, http_ok
from harness.results import save
from harness.results.trend import environment_of
from hubgate.cli import cli, kept_runs
from hubgate.cli.kept_runs import bars, runs_in
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
    assert f"Environment {environment_of(run(9))}: so had 3 of 3 earlier runs." in shown.output
    assert call("compare", kept, kept / "new" / "run-9", "--fail-on-worse").exit_code == 1
    assert call("compare", kept, kept / "run-1", "--fail-on-worse").exit_code == 0


def test_the_trend_shows_each_figure_over_all_runs(kept: Path) -> None:
    output = call("trend", kept).output
    assert [word for word in output.split() if set(word) <= set("▁▂▃▄▅▆▇█")] == ["▁█▅"]
    assert "10 ms to 10.2 ms" in output


def test_a_folder_without_a_run_is_said_to_have_none(tmp_path: Path) -> None:
    result = call("trend", tmp_path)
    assert "there is no run in" in str(result.exception)


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"changed": "no-reaper"}, "made wrong on purpose (no-reaper)"),
        ({"only": ("claims",)}, "it judged claims alone"),
    ],
)
def test_a_run_that_was_not_whole_is_left_out_of_a_folder_and_told_by_itself(
    kept: Path, about: dict[str, Any], says: str
) -> None:
    odd = run(8, p99(900.0))
    save(msgspec.structs.replace(odd, about=msgspec.structs.replace(odd.about, **about)), kept / "run-8")
    shown = call("trend", kept)
    assert f"1 run in {kept} left out: made with --only or --defect." in shown.stderr
    assert "900" not in shown.output
    by_name = call("compare", kept / "run-8", kept / "run-1").stderr
    assert by_name.startswith(f"{kept / 'run-8'} is no run of the whole gate: ")
    assert says in by_name


def test_bars_of_equal_values_are_equal() -> None:
    assert bars([3, 3]) == "▁▁"


@pytest.fixture
def site(kept: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """Where the kept runs can be fetched."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (kept / "page.html").write_text("<h1>Sign in</h1>")
    port = free_port()
    launch = Launch(
        name="site",
        command=(sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(kept)),
        probe=http_ok("127.0.0.1", port, "/run-0/run.json"),
        port=port,
    )
    with Processes(tmp_path_factory.mktemp("site")) as processes:
        yield processes.start(launch)


def test_a_run_is_fetched_from_where_it_is_kept(site: Process, kept: Path) -> None:
    shown = call("compare", f"{site.http_url}/run-0/run.json", kept / "new" / "run-9", "--fail-on-worse")
    assert (shown.exit_code, "worse than in 1 earlier run." in shown.output) == (1, True)
    assert runs_in(f"{site.http_url}/run-0/") == runs_in(kept / "run-0")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/run-7/run.json", "answered 404"),
        ("/page.html", "is not a run of hubgate"),
        ("/run-0/run.json", "has more than 100 bytes"),
    ],
)
def test_what_cannot_be_fetched_is_told_in_a_sentence(
    site: Process, path: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_runs, "MOST_BYTES", 100)
    with pytest.raises(CouldNotRun, match=said) as refused:
        runs_in(site.http_url + path)
    assert site.http_url + path in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_server_that_is_not_there_is_told_before_anything_is_started(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/run.json"
    answered = call("gate", "--only", "simplicity", "--baseline", nowhere, "--out", tmp_path)
    assert isinstance(answered.exception, CouldNotRun)
    assert f"{nowhere} cannot be fetched" in str(answered.exception)
    assert not [*tmp_path.iterdir()]


def test_a_baseline_that_is_neither_a_file_nor_a_url_is_refused(tmp_path: Path) -> None:
    answered = call("gate", "--baseline", tmp_path / "run-1")
    assert (answered.exit_code, "is neither a run nor a folder of runs" in answered.output) == (2, True)
