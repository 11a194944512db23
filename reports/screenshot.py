"""A screenshot of a report for the README, taken with chromium: `python -m reports.screenshot [RUN_DIR [PNG]]`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from harness.results import UnreadableRun, load
from reports.page import page

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)
RUNS: Final = Path("out")
TARGET: Final = Path("docs/report.png")
SIZE: Final = (1280, 860)
DEADLINE: Final = 60.0


class NoScreenshot(Exception):  # noqa: N818 - the state is the name
    """No screenshot could be taken, with a sentence that says why."""


def take(run_dir: Path, target: Path) -> None:
    """Write a screenshot of the first screen of the run's report, at twice its size in points, as PNG."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise NoScreenshot(f"none of {', '.join(BROWSERS)} is installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "report.html"
        file.write_text(page(load(run_dir)), encoding="utf-8", errors="replace")
        size = f"--window-size={SIZE[0]},{SIZE[1]}"
        command = [browser, *FLAGS, size, "--force-device-scale-factor=2", f"--user-data-dir={folder}/profile"]
        target.unlink(missing_ok=True)
        subprocess.run(  # noqa: S603 - a browser that the caller installed
            [*command, f"--screenshot={target.absolute()}", file.as_uri()],
            check=False,
            timeout=DEADLINE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    if not target.exists():
        raise NoScreenshot(f"{browser} wrote no screenshot")


def newest(runs: Path) -> Path:
    """The folder of the run that was written last."""
    files = sorted(runs.glob("*/run.json"), key=lambda file: file.stat().st_mtime)
    if not files:
        raise NoScreenshot(f"there is no run in {runs}: make one with `make gate`, or name its folder")
    return files[-1].parent


def main(arguments: list[str], runs: Path = RUNS) -> int:
    """The command; its exit status is 0, 2 for wrong usage, 3 where no screenshot could be taken."""
    if len(arguments) > 2 or any(argument.startswith("-") for argument in arguments):
        sys.stderr.write("usage: python -m reports.screenshot [RUN_DIR [PNG]]\n")
        return 2
    try:
        given = [Path(argument) for argument in arguments]
        take(given[0] if given else newest(runs), given[1] if given[1:] else TARGET)
    except (UnreadableRun, NoScreenshot) as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
