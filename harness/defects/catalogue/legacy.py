"""Mistakes with the legacy protocol: another name, another type, a field that is missing."""

from __future__ import annotations

from typing import Final

from harness.defects.defect import Defect, edit

DEFECTS: Final = (
    Defect(
        name="answer-job-submitted",
        mistake="A submission is answered with `job_submitted` where the hub says `job_accepted`.",
        caught_by=("legacy-clients",),
        replacements=(edit("api/legacy/frames.py", 'tag="job_accepted"', 'tag="job_submitted"'),),
    ),
    Defect(
        name="completion-under-another-name",
        mistake="Completion is published under a type that no client listens for: jobs stop at 100 %.",
        caught_by=("legacy-clients", "mixed-clients"),
        replacements=(edit("api/legacy/frames.py", 'tag="complete_job"', 'tag="job_completed"'),),
    ),
    Defect(
        name="missing-field",
        mistake="`job_accepted` lacks `notified_workers`, which nobody seemed to need.",
        caught_by=("legacy-clients",),
        replacements=(edit("api/legacy/frames.py", "    notified_workers: int = 0\n", ""),),
    ),
    Defect(
        name="null-left-out",
        mistake="Fields without a value are left out, where the hub writes them as null.",
        caught_by=("legacy-clients",),
        replacements=(
            edit("api/legacy/frames.py", 'class Frame(msgspec.Struct, kw_only=True, frozen=True, tag_field="type"):',
                 'class Frame(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", omit_defaults=True):'),
        ),
    ),
    Defect(
        name="number-as-text",
        mistake="Progress is passed on as Redis has it, as text.",
        caught_by=("legacy-clients",),
        replacements=(
            edit("api/legacy/events.py", "                progress=plain_number(event.progress) or 0,\n",
                 "                progress=str(plain_number(event.progress) or 0),\n"),
        ),
    ),
    Defect(
        name="time-as-text",
        mistake="A timestamp that was a number of seconds becomes ISO text.",
        caught_by=("legacy-clients",),
        replacements=(
            edit("api/legacy/events.py", "    now = event.at / 1000\n",
                 "    now = datetime.fromtimestamp(event.at / 1000, UTC).isoformat()\n"),
            edit("api/legacy/events.py", "from typing import Any, Final\n",
                 "from datetime import UTC, datetime\nfrom typing import Any, Final\n"),
        ),
    ),
    Defect(
        name="failed-attempts-untold",
        mistake="A legacy client hears of a failure only when it is the last one.",
        caught_by=("legacy-clients",),
        replacements=(
            edit("api/legacy/events.py", "        case EventKind.ATTEMPT_FAILED | EventKind.FAILED:\n",
                 "        case EventKind.FAILED:\n"),
        ),
    ),
    Defect(
        name="claim-untold",
        mistake="Nobody is told that a worker has claimed the job: clients go from accepted to progress.",
        caught_by=("legacy-clients",),
        replacements=(
            edit("api/legacy/events.py",
                 '            return JobStatus(timestamp=now, job_id=event.job_id, status="processing", '
                 "worker_id=event.worker_id)\n",
                 "            return None\n"),
        ),
    ),
    Defect(
        name="monitor-without-client-id",
        mistake="What monitors are told of a job lacks the client whose job it is.",
        caught_by=("legacy-clients",),
        replacements=(
            edit("api/legacy/events.py", ' | members | {"client_id": client_id}', " | members"),
        ),
    ),
    Defect(
        name="token-unread",
        mistake="A token is asked for and accepted unread.",
        caught_by=("legacy-clients",),
        replacements=(
            edit("api/access.py",
                 "return not token or hmac.compare_digest(shown, token.encode())",
                 "return not token or bool(shown) or hmac is None"),
        ),
    ),
)  # fmt: skip
