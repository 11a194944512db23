"""REST: bodies as the hub's validation takes and refuses them, paths and methods, `wait`."""

from __future__ import annotations

from typing import Any

import pytest

from legacy_hub_sim.core import Answer, Request, Waiting
from tests.legacy_hub_sim.stage import BEGAN, Stage, types

WHOLE = "Input should be a valid integer"
UNPARSED = f"{WHOLE}, unable to parse string as an integer"
TOO_LONG = "Unable to parse input string as an integer, exceeded maximum size"
FLAG = "Input should be a valid boolean"

TAKEN: list[tuple[str, Any, Any]] = [
    ("priority", "5", 5),
    ("priority", " 5 ", 5),
    ("priority", "5.0", 5),
    ("priority", "+5", 5),
    ("priority", "1_000", 1000),
    ("priority", "007", 7),
    ("priority", True, 1),
    ("priority", 2.0, 2),
    ("priority", -0.0, 0),
    ("priority", 10**30, 10**30),
]
REFUSED: list[tuple[str, Any, str, str]] = [
    ("priority", "5.5", "int_parsing", UNPARSED),
    ("priority", "5.", "int_parsing", UNPARSED),
    ("priority", "1__0", "int_parsing", UNPARSED),
    ("priority", "0x10", "int_parsing", UNPARSED),
    ("priority", "1e3", "int_parsing", UNPARSED),
    ("priority", "", "int_parsing", UNPARSED),
    ("priority", "٣", "int_parsing", UNPARSED),
    ("priority", "9" * 4301, "int_parsing_size", TOO_LONG),
    ("priority", 1e20, "int_parsing_size", TOO_LONG),
    ("priority", 2.5, "int_from_float", f"{WHOLE}, got a number with a fractional part"),
    ("priority", None, "int_type", WHOLE),
    ("priority", [], "int_type", WHOLE),
    ("timeout", 1.5, "int_from_float", f"{WHOLE}, got a number with a fractional part"),
    ("timeout", "soon", "int_parsing", UNPARSED),
    ("wait", 2, "bool_parsing", f"{FLAG}, unable to interpret input"),
    ("wait", "maybe", "bool_parsing", f"{FLAG}, unable to interpret input"),
    ("wait", 1.5, "bool_type", FLAG),
    ("wait", None, "bool_type", FLAG),
    ("job_id", 5, "string_type", "Input should be a valid string"),
    ("job_type", None, "string_type", "Input should be a valid string"),
    ("payload", None, "dict_type", "Input should be a valid dictionary"),
    ("payload", [1], "dict_type", "Input should be a valid dictionary"),
]


def post(stage: Stage, **fields: Any) -> Answer:
    answer = stage.rest("POST", "/api/jobs", {"job_type": "t", "payload": {}, **fields})
    assert isinstance(answer, Answer)
    return answer


@pytest.mark.parametrize(("name", "given", "stored"), TAKEN)
def test_what_passes_for_a_number_is_taken(name: str, given: Any, stored: int) -> None:
    stage = Stage()
    job_id = post(stage, **{name: given}).body["job_id"]
    assert stage.store.read(job_id)[name] == str(stored)


@pytest.mark.parametrize(("name", "given", "type_", "msg"), REFUSED)
def test_what_does_not_is_refused_in_the_librarys_words(name: str, given: Any, type_: str, msg: str) -> None:
    answer = post(Stage(), **{name: given})
    url = f"https://errors.pydantic.dev/2.14/v/{type_}"
    assert answer.status == 422
    assert answer.body == {"detail": [{"type": type_, "loc": ["body", name], "msg": msg, "input": given, "url": url}]}


@pytest.mark.parametrize("word", ["true", "TRUE", "yes", "on", "t", "y", "1", 1, 1.0])
def test_words_that_pass_for_true_make_it_wait(word: Any) -> None:
    assert isinstance(Stage().rest("POST", "/api/jobs", {"job_type": "t", "payload": {}, "wait": word}), Waiting)


@pytest.mark.parametrize("word", ["false", "off", "n", "0", 0, 0.0])
def test_words_that_pass_for_false_do_not(word: Any) -> None:
    assert post(Stage(), wait=word).status == 200


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None, "url": "missing"}),
        (b"null", {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None, "url": "missing"}),
        (b"{not json", (1, "Expecting property name enclosed in double quotes")),
        (b'{"a":1,}', (7, "Expecting property name enclosed in double quotes")),
        (b'{"job_type":"s","payload":{}} x', (30, "Extra data")),
        (b"[1,2", (4, "Expecting ',' delimiter")),
        (b"nul", (0, "Expecting value")),
    ],
)
def test_a_body_that_cannot_be_read(body: bytes, detail: Any) -> None:
    answer, _ = Stage().hub.request(Request("POST", "/api/jobs", body, "application/json"), BEGAN)
    if isinstance(detail, tuple):
        at, error = detail
        detail = {"type": "json_invalid", "loc": ["body", at], "msg": "JSON decode error", "input": {}}
        detail["ctx"] = {"error": error}
    else:
        detail["url"] = f"https://errors.pydantic.dev/2.14/v/{detail['url']}"
    assert isinstance(answer, Answer)
    assert answer.body == {"detail": [detail]}


@pytest.mark.parametrize(
    ("content_type", "status"), [(None, 200), ("application/vnd.api+json", 200), ("text/plain", 422)]
)
def test_only_what_says_json_or_nothing_is_read_as_json(content_type: str | None, status: int) -> None:
    body = b'{"job_type":"s","payload":{}}'
    answer, _ = Stage().hub.request(Request("POST", "/api/jobs", body, content_type), BEGAN)
    assert isinstance(answer, Answer)
    assert answer.status == status


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PUT", "/api/jobs", 405, "POST"),
        ("POST", "/api/jobs/x", 405, "GET"),
        ("POST", "/", 405, "GET"),
        ("HEAD", "/", 405, "GET"),
        ("GET", "/api/jobs/a/b", 404, None),
        ("GET", "/ws/client/x", 404, None),
        ("GET", "/api/jobs/", 307, None),
    ],
)
def test_paths_and_methods(method: str, path: str, status: int, allow: str | None) -> None:
    answer = Stage().rest(method, path)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.allow) == (status, allow)


def test_places_in_the_queue_in_words_count_what_already_ended() -> None:
    stage = Stage()
    ids = [post(stage, job_id=f"j{number}").body["job_id"] for number in range(3)]
    stage.worker("w")
    stage.say("w", "claim_job", job_id="j0")
    stage.say("w", "complete_job", job_id="j0")
    shown = [stage.rest("GET", f"/api/jobs/{job_id}").body for job_id in ids]
    assert [(job["position"], job["display_position"], job["position_description"]) for job in shown] == [
        (None, None, None),
        (1, 2, "1 job ahead in queue"),
        (2, 3, "2 jobs ahead in queue"),
    ]


def test_a_worker_is_offered_a_rest_job_and_nobody_is_told_of_it() -> None:
    stage = Stage()
    stage.worker("w")
    post(stage, job_id="j")
    assert types(stage.log, "w")[-1] == "job_available"
    assert types(stage.say("w", "claim_job", job_id="j")) == ["w: job_assigned"]
    assert stage.rest("GET", "/api/jobs/j").body["client_id"] == "rest-api-client"


class TestWait:
    def waiting(self, **fields: Any) -> tuple[Stage, Waiting]:
        stage = Stage()
        stage.worker("w")
        body = {"job_type": "t", "payload": {"a": 1}, "job_id": "j", "wait": True, **fields}
        waiting = stage.rest("POST", "/api/jobs", body)
        assert isinstance(waiting, Waiting)
        stage.say("w", "claim_job", job_id="j")
        return stage, waiting

    def test_it_answers_with_the_status_when_the_job_completed(self) -> None:
        stage, waiting = self.waiting()
        assert stage.hub.awaited(waiting, stage.now) is None
        stage.say("w", "complete_job", job_id="j", result={"ok": 1})
        answer = stage.hub.awaited(waiting, stage.now)
        assert answer
        assert (answer.body["status"], answer.body["result"], answer.body["error"]) == ("completed", {"ok": 1}, None)
        assert answer.body["payload"] is None
        assert stage.rest("GET", "/api/jobs/j").body["payload"] == {"a": 1}  # type: ignore[union-attr]

    def test_a_failed_attempt_that_is_retried_does_not_end_it(self) -> None:
        stage, waiting = self.waiting()
        for number in range(4):
            assert stage.hub.awaited(waiting, stage.now) is None
            stage.worker(f"w{number}")
            stage.say(f"w{number}", "claim_job", job_id="j")
            stage.say("w" if number == 0 else f"w{number - 1}", "fail_job", job_id="j", error=f"boom {number}")
        answer = stage.hub.awaited(waiting, stage.now)
        assert answer
        assert (answer.body["status"], answer.body["error"]) == ("failed", "boom 3")

    def test_after_the_timeout_it_answers_with_the_status_so_far(self) -> None:
        stage, waiting = self.waiting(timeout=2)
        assert stage.hub.awaited(waiting, stage.now + 1) is None
        answer = stage.hub.awaited(waiting, stage.now + 2.1)
        assert answer
        assert answer.status == 200
        assert answer.body["status"] == "claimed"
        assert answer.body["error"] == "Timeout: Job did not complete within 2 seconds"

    def test_a_cancelled_job_keeps_it_waiting(self) -> None:
        stage, waiting = self.waiting()
        stage.client("c")
        stage.say("c", "cancel_job", job_id="j")
        assert stage.hub.awaited(waiting, stage.now + 299) is None


def test_a_number_beyond_a_float_is_an_inner_error() -> None:
    answer = post(Stage(), priority=10**400, job_id="j")
    assert (answer.status, answer.body) == (500, {"detail": "int too large to convert to float"})
