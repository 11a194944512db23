"""What a job body of the benchmark does: say when it began. Standard library only: competitors' processes import it."""

from __future__ import annotations

import os
import time
from pathlib import Path

LIMIT_SECONDS = 120.0
"""No process of the benchmark outlives this."""


class Starts:
    """One file for each worker process, a line for each job begun: its id and the machine's monotonic clock."""

    def __init__(self, folder: str) -> None:
        path = Path(folder) / f"{os.getpid()}.starts"
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def mark(self, job_id: object) -> None:
        """Note that this job's body begins now."""
        os.write(self._file, b"%s %.7f\n" % (str(job_id).encode(), time.monotonic()))


def read(folder: Path) -> list[tuple[str, float]]:
    """Every start noted so far, whole lines only."""
    found = []
    for path in folder.glob("*.starts"):
        for line in path.read_text().splitlines():
            job_id, _, at = line.partition(" ")
            if at:
                found.append((job_id, float(at)))
    return found
