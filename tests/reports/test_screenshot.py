from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.results import save
from reports.screenshot import SIZE, main, newest
from tests.browser import PATH
from tests.reports.samples import passes


@pytest.mark.skipif(PATH is None, reason="chromium is not installed: no picture was taken")
def test_a_picture_of_the_first_screen_is_taken(tmp_path: Path) -> None:
    save(passes(), tmp_path)
    assert main([str(tmp_path), str(tmp_path / "report.png")]) == 0
    data = (tmp_path / "report.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = (int.from_bytes(data[at : at + 4]) for at in (16, 20))
    assert (width, height) == (2 * SIZE[0], 2 * SIZE[1])


def test_a_folder_without_a_run_is_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if PATH is None:
        pytest.skip("chromium is not installed")
    assert main([str(tmp_path), str(tmp_path / "report.png")]) == 3
    assert "run.json cannot be read" in capsys.readouterr().err


def test_without_a_name_the_newest_run_is_taken(tmp_path: Path) -> None:
    for name, seconds in (("older", 1), ("newest", 9), ("old", 5)):
        os.utime(save(passes(), tmp_path / name), (seconds, seconds))
    assert newest(tmp_path) == tmp_path / "newest"


def test_where_there_is_no_run_the_way_to_one_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], tmp_path) == 3
    assert "make gate" in capsys.readouterr().err


def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 2
    assert "usage:" in capsys.readouterr().err
