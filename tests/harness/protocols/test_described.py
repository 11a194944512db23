"""Protocols told in a file: the shipped ones mean what our modules mean, and mistakes are refused in a sentence."""

import datetime as dt
import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from harness.errors import CouldNotRun
from harness.protocols import EventKind, HttpRequest, JobState, Submission, hub, stack
from harness.protocols.description import Description
from harness.protocols.known import SHIPPED, protocol_of

CASSETTES = Path(__file__).parents[3] / "scenarios" / "cassettes"
JOB = Submission(service="image", payload={"prompt": "a cat"}, priority=5, job_id="a/1")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_protocol_is_one_short_file(name: str) -> None:
    told = protocol_of(name).description
    assert (told.name, bool(told.about)) == (name, True)


def test_the_hubs_file_reads_every_recorded_frame_as_the_hubs_module_does() -> None:
    told, frames = protocol_of("hub"), 0
    for path in CASSETTES.glob("*.jsonl"):
        for line in map(json.loads, path.read_text().splitlines()):
            message = line.get("message")
            if line.get("event") != "receive" or not isinstance(message, dict) or message.get("job_id") == "stats":
                continue
            frames += 1
            ours, theirs = hub.event_of(message), told.event_of(message)
            assert (ours and (ours.kind, ours.job_id, ours.progress, ours.result)) == (
                theirs and (theirs.kind, theirs.job_id, theirs.progress, theirs.result)
            )
    assert frames > 500


def test_actions_are_frames_or_requests_with_what_is_known_filled_in() -> None:
    assert protocol_of("hub").submit(JOB, at=12.5) == hub.submit(JOB, at=12.5)
    assert protocol_of("stack").submit(JOB) == stack.submit(JOB)
    assert protocol_of("stack").ask("a/1") == HttpRequest("GET", "/api/jobs/a%2F1")
    unnamed = protocol_of("universal").submit(Submission(service="image"))
    assert unnamed["data"] == {"service_required": "image", "priority": 0, "payload": {}}
    assert [protocol_of("later").retry("a"), protocol_of("universal").cancel("a")] == [None, None]


def test_places_times_and_states_are_where_the_file_says() -> None:
    told = protocol_of("universal")
    frame = {
        "type": "progress",
        "job_id": "a",
        "data": {"progress": "40", "status": "in_progress", "worker_id": "w"},
        "timestamp": "2026-11-30T00:00:01+00:00",
    }
    event = told.event_of(frame)
    assert event is not None
    assert (event.kind, event.progress, event.worker_id) == (EventKind.PROGRESS, 40.0, "w")
    assert event.at == dt.datetime(2026, 11, 30, 0, 0, 1, tzinfo=dt.UTC).timestamp()
    ended = told.event_of(frame | {"data": {"status": "completed"}})
    assert ended is not None
    assert ended.kind is EventKind.COMPLETED
    status = told.status_of({"type": "job_status", "job": {"id": "a", "status": "assigned", "worker_id": "w"}})
    assert status is not None
    assert (status.job_id, status.state, status.worker_id) == ("a", JobState.CLAIMED, "w")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("nobody.toml", None, "there is no file"),
        ("typo.toml", 'nam = "x"', "no description of a protocol"),
        ("broken.py", "1 / 0", "ZeroDivisionError"),
        ("empty.py", "", "has to be a"),
        ("nobody", None, "there are hub, later, stack, universal"),
    ],
)
def test_what_is_no_protocol_is_refused_in_a_sentence(tmp_path: Path, name: str, text: str | None, why: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(CouldNotRun, match=re.escape(why)):
        protocol_of(str(path) if "." in name else name)


def test_what_a_table_cannot_say_the_class_of_the_docs_does(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    page = (root / "docs" / "your-own.md").read_text()
    (shown,) = re.findall(r"<!-- class -->\n```python\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "mine.py"
    path.write_text(shown)
    shutil.copy(root / "harness" / "protocols" / "shipped" / "hub.toml", tmp_path / "mine.toml")
    event = protocol_of(str(path)).event_of({"type": "JOB_ACCEPTED", "job_id": "a"})
    assert event is not None
    assert event.kind is EventKind.ACCEPTED


def test_the_file_that_the_docs_show_is_the_one_that_is_tried() -> None:
    root = Path(__file__).parents[3]
    page = (root / "docs" / "your-own.md").read_text()
    shown = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    told = msgspec.toml.decode("\n".join(shown), type=Description)
    tried = msgspec.toml.decode((root / "tests" / "foreign_stack" / "protocol.toml").read_text(), type=Description)
    assert told == msgspec.structs.replace(tried, about="")
