"""One JSON object a line."""

from __future__ import annotations

import logging

import msgspec
import pytest

from new_stack.log import EventLog, LastingFailure, LibraryLogs


def test_a_line_has_the_level_the_event_its_fields_and_the_context() -> None:
    lines: list[str] = []
    EventLog(lines.append, worker_id="w").warning("lost", job_id="j", why=ValueError("x"))
    line = msgspec.json.decode(lines[0])
    assert line.pop("at")
    assert line == {"level": "warning", "event": "lost", "worker_id": "w", "job_id": "j", "why": "x"}


def test_what_libraries_log_comes_in_the_same_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("some.library")
    handler = LibraryLogs()
    logger.addHandler(handler)
    try:
        logger.error("broke %s", "here", exc_info=RuntimeError("deep"))
    finally:
        logger.removeHandler(handler)
    line = msgspec.json.decode(capsys.readouterr().err)
    assert (line["event"], line["level"], line["message"]) == ("library", "error", "broke here")
    assert "RuntimeError: deep" in line["trace"]


def test_a_failure_of_each_turn_is_told_when_it_begins_when_it_is_another_and_when_it_is_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failure = LastingFailure("reap")
    for error in ("", "wrong type", "wrong type", "no memory", "no memory", "", "", "wrong type"):
        failure.note(error)
    lines = [msgspec.json.decode(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["event"], line.get("error")) for line in lines] == [
        ("error", "reap_failed", "wrong type"),
        ("error", "reap_failed", "no memory"),
        ("info", "reap_works_again", None),
        ("error", "reap_failed", "wrong type"),
    ]
