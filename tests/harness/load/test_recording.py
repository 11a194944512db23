"""The history of a load on a target that others use, too."""

from pathlib import Path

from harness.history import HistoryEvent, HistoryWriter, Limits, Source
from harness.load.recording import check
from harness.protocols import EventKind


def test_what_becomes_of_jobs_that_no_client_of_the_load_submitted_is_not_held_against_the_target(
    tmp_path: Path,
) -> None:
    def log(at_ms: float, kind: EventKind, progress: float | None = None) -> HistoryEvent:
        return HistoryEvent(
            at_ms=at_ms, source=Source.REDIS, kind=kind, job_id="theirs", worker_id="w", attempt=1, progress=progress
        )

    with HistoryWriter(tmp_path / "history-system.jsonl", about="a stack's account") as writer:
        for event in (
            log(1, EventKind.SUBMITTED),
            log(2, EventKind.CLAIMED),
            log(3, EventKind.PROGRESS, 100),
            log(4, EventKind.PROGRESS, 63),
        ):
            writer.add(event)
    alone, shared = check(tmp_path, Limits()), check(tmp_path, Limits(), shared=True)
    assert alone["progress_back"].violations
    assert not any(result.violations for result in shared.values())
