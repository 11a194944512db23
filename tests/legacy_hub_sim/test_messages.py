"""Messages no recording holds: what follows from the hub's rules for odd fields, and for each kind of sender."""

from __future__ import annotations

from typing import Any

import pytest

from legacy_hub_sim.core import Role
from tests.legacy_hub_sim.stage import Stage, only, types

MANUAL = "    For further information visit https://errors.pydantic.dev/2.14/v/"


def leaked(message: dict[str, Any]) -> str:
    assert message["type"] == "error"
    text: str = message["error"]
    return text.removeprefix("Server error processing message: ")


class TestClients:
    @pytest.fixture
    def stage(self) -> Stage:
        stage = Stage()
        stage.client("c")
        return stage

    @pytest.mark.parametrize("type_", ["request_job_status", "subscribe_job", "cancel_job", "force_retry_job"])
    @pytest.mark.parametrize("job_id", [None, "", 0, [], False])
    def test_an_empty_job_id_is_a_missing_one(self, stage: Stage, type_: str, job_id: Any) -> None:
        assert only(stage.say("c", type_, job_id=job_id))["error"] == f"Missing job_id in {type_} request"

    def test_an_unknown_id_of_any_kind_is_named_as_python_would(self, stage: Stage) -> None:
        assert only(stage.say("c", "request_job_status", job_id=["a", None]))["error"] == "Job ['a', None] not found"
        assert only(stage.say("c", "request_job_status", job_id=True))["error"] == "Job True not found"

    def test_a_known_id_that_is_no_text_breaks_the_answers_model(self, stage: Stage) -> None:
        stage.submit("c", "7")
        words = leaked(only(stage.say("c", "request_job_status", job_id=7)))
        assert words.splitlines() == [
            "1 validation error for ResponseJobStatusMessage",
            "job_id",
            "  Input should be a valid string [type=string_type, input_value=7, input_type=int]",
            MANUAL + "string_type",
        ]

    def test_long_values_are_shortened_in_leaked_errors(self, stage: Stage) -> None:
        words = leaked(only(stage.say("c", "subscribe_job", job_id={"k": "v" * 100})) | {})
        assert words == "unhashable type: 'dict'"
        words = leaked(only(stage.say("c", "subscribe_job", job_id=10**60)))
        assert f"input_value=1{'0' * 24}...{'0' * 24}, input_type=int" in words

    def test_a_job_whose_id_is_a_number_is_stored_and_not_answered(self, stage: Stage) -> None:
        assert stage.submit("c", 7) == []  # type: ignore[arg-type]
        assert stage.store.read("7")["id"] == "7"
        assert [message["job_id"] for _, message in stage.worker("w") if message["type"] == "job_available"] == ["7"]

    @pytest.mark.parametrize(("payload", "kind"), [(None, "NoneType"), (5, "int"), (True, "bool"), ([1], "list")])
    def test_a_payload_that_is_neither_object_nor_text(self, stage: Stage, payload: Any, kind: str) -> None:
        words = leaked(only(stage.submit("c", "j", payload=payload)))
        assert words == f"the JSON object must be str, bytes or bytearray, not {kind}"
        assert not stage.store.exists("j")

    def test_a_text_payload_is_wrapped_unless_it_is_json(self, stage: Stage) -> None:
        stage.submit("c", "plain", payload="a cat")
        assert stage.worker("w")[-1][1]["job_request_payload"] == {"raw_payload": "a cat"}

    def test_a_payload_that_is_json_but_no_object_is_never_offered_and_breaks_its_claim(self, stage: Stage) -> None:
        stage.submit("c", "j", payload="[1]")
        assert "job_available" not in types(stage.worker("w"), "w")
        words = leaked(only(stage.say("w", "claim_job", job_id="j")))
        assert words.splitlines()[:2] == ["1 validation error for JobAssignedMessage", "params"]
        assert stage.store.read("j")["status"] == "claimed"

    @pytest.mark.parametrize(("job_type", "kind"), [(None, "NoneType"), (True, "bool"), ([], "list")])
    def test_a_type_that_redis_does_not_take(self, stage: Stage, job_type: Any, kind: str) -> None:
        assert f"'{kind}'" in leaked(only(stage.submit("c", "j", job_type=job_type)))

    def test_a_reason_that_redis_does_not_take_leaves_the_job_pending_and_queued(self, stage: Stage) -> None:
        stage.submit("c", "j")
        assert "'NoneType'" in leaked(only(stage.say("c", "cancel_job", job_id="j", reason=None)))
        assert stage.store.read("j")["status"] == "pending"
        assert stage.store.queue() == ["j"]

    def test_cancelling_again_and_after_the_end_answers_the_same(self, stage: Stage) -> None:
        stage.submit("c", "j")
        first = stage.say("c", "cancel_job", job_id="j")
        again = stage.say("c", "cancel_job", job_id="j")
        assert types(first) == types(again) == ["c: response_job_status"] * 2

    def test_force_retry_tells_twice_once_there_was_a_failure(self, stage: Stage) -> None:
        stage.submit("c", "j")
        no_history = only(stage.say("c", "force_retry_job", job_id="j"))
        assert (no_history["status"], no_history["message"]) == ("pending", "Job has no failure history to clear.")
        stage.worker("w")
        stage.say("w", "claim_job", job_id="j")
        stage.say("w", "fail_job", job_id="j", error="x")
        told = stage.say("c", "force_retry_job", job_id="j")
        text = "Job failure history cleared. Job can now be assigned to any worker."
        assert [message["message"] for _, message in told] == [text, text]
        assert types(stage.say("w", "worker_status", status="idle")) == ["w: job_available"]
        assert only(stage.say("w", "claim_job", job_id="j"))["error"] == "Failed to claim job j"

    def test_a_name_connected_twice_is_closed_when_the_first_connection_goes(self, stage: Stage) -> None:
        stage.client("c", actor="again")
        assert types(stage.say("c", "stay_alive")) == ["again: response_job_status"]
        assert stage.leave("c") == [("again", {"type": "closed", "code": 1000, "why": "Client c disconnected"})]

    @pytest.mark.parametrize("line", ["[" * 100_000, "1" * 5000])
    def test_json_beyond_what_the_hub_reads_is_an_inner_error(self, stage: Stage, line: str) -> None:
        assert leaked(only(stage.line("c", line)))


class TestWorkers:
    @pytest.fixture
    def stage(self) -> Stage:
        stage = Stage()
        stage.monitor("m")
        stage.worker("w")
        return stage

    @pytest.mark.parametrize(
        ("type_", "fields"),
        [
            ("update_job_progress", {"progress": 101}),
            ("update_job_progress", {"progress": -2}),
            ("update_job_progress", {"progress": 50.5}),
            ("update_job_progress", {"progress": "half"}),
            ("update_job_progress", {"progress": None}),
            ("update_job_progress", {"message": 5}),
            ("update_job_progress", {"connector_details": []}),
            ("update_job_progress", {"timestamp": "now"}),
            ("update_job_progress", {"timestamp": None}),
            ("claim_job", {"job_id": 5}),
            ("claim_job", {"claim_timeout": "soon"}),
            ("complete_job", {"result": [1]}),
            ("complete_job", {"result": "done"}),
            ("fail_job", {"error": {"code": 1}}),
            ("register_worker", {"capabilities": ["t"]}),
            ("register_worker", {"subscribe_to_jobs": "maybe"}),
            ("register_worker", {"status": None}),
            ("worker_heartbeat", {"load": "high"}),
            ("worker_status", {"status": 5}),
            ("connector_ws_status", {"connected": None}),
            ("service_request", {"content": None}),
            ("submit_job", {"priority": 11}),
            ("stay_alive", {}),
            ("cancel_job", {"job_id": "j"}),
            ("chunked_message", {}),
            ([], {}),
            (None, {}),
        ],
    )
    def test_what_fits_no_shape(self, stage: Stage, type_: Any, fields: dict[str, Any]) -> None:
        assert only(stage.say("w", type_, worker_id="w", **fields))["error"] == "Invalid message format"

    @pytest.mark.parametrize("type_", ["request_job_status", "subscribe_job", "job_assigned", "error", "submit_job"])
    def test_what_fits_a_shape_that_is_not_a_workers(self, stage: Stage, type_: str) -> None:
        assert only(stage.say("w", type_))["error"] == f"Unsupported message type: {type_}"

    def test_values_that_pass_are_passed_on_as_what_they_pass_for(self, stage: Stage) -> None:
        told = only(stage.say("w", "update_job_progress", job_id="j", progress="50", timestamp=5))
        assert (told["progress"], told["timestamp"], told["worker_id"]) == (50, 5.0, "")

    def test_the_name_in_the_path_counts_not_the_one_in_the_message(self, stage: Stage) -> None:
        stage.client("c")
        stage.submit("c", "j")
        assigned = stage.say("w", "claim_job", worker_id="other", job_id="j")[0][1]
        assert assigned["worker_id"] == "w"

    def test_a_worker_that_never_registered_may_claim_again_and_again(self) -> None:
        stage = Stage()
        stage.client("c")
        stage.submit("c", "j1")
        stage.submit("c", "j2")
        stage.worker("w", register=False)
        for job_id in ("j1", "j2"):
            assert "w: job_assigned" in types(stage.say("w", "claim_job", job_id=job_id))

    def test_a_claim_is_not_checked_against_types(self, stage: Stage) -> None:
        stage.client("c")
        stage.submit("c", "j", job_type="other")
        assert "w: job_assigned" in types(stage.say("w", "claim_job", job_id="j"))

    def test_the_fourth_failure_leaves_the_worker_busy_and_the_job_failed(self, stage: Stage) -> None:
        stage.client("c")
        stage.submit("c", "j")
        for number in range(4):
            worker = f"w{number}"
            stage.worker(worker)
            stage.say(worker, "claim_job", job_id="j")
            told = stage.say(worker, "fail_job", job_id="j", error="x")
        assert types(told)[0] == "w3: error"
        assert stage.store.read("j")["status"] == "failed"
        refused = only(stage.say("w3", "claim_job", job_id="j"))
        assert refused["error"] == "Cannot claim job j: Worker w3 is not idle"

    def test_a_failure_without_words_is_acknowledged_as_unknown_and_told_as_null(self, stage: Stage) -> None:
        stage.client("c")
        stage.submit("c", "j")
        stage.say("w", "claim_job", job_id="j")
        told = {name: message for name, message in stage.say("w", "fail_job", job_id="j") if name != "m"}
        assert told["w"]["error"] == "Unknown error"
        assert told["c"]["error"] is None

    def test_a_heartbeat_of_a_busy_worker_makes_it_idle(self, stage: Stage) -> None:
        stage.client("c")
        stage.submit("c", "j1")
        stage.submit("c", "j2")
        stage.say("w", "claim_job", job_id="j1")
        told = types(stage.say("w", "worker_heartbeat", worker_id="w"))
        assert told == ["m: worker_status", "m: ack", "w: job_available", "w: worker_heartbeat_ack"]

    def test_a_heartbeat_with_a_null_status_says_nothing_of_it(self, stage: Stage) -> None:
        assert types(stage.say("w", "worker_heartbeat", status=None)) == ["w: worker_heartbeat_ack"]

    @pytest.mark.parametrize(
        ("given", "understood"),
        [(["t", 5], ["t", "5"]), ("t", ["t"]), ('["t"]', ["t"]), ('{"t": 1}', ['{"t": 1}']), (None, []), (5, ["5"])],
    )
    def test_job_types_in_any_form(self, given: Any, understood: list[str]) -> None:
        stage = Stage()
        stage.open(Role.WORKER, "w")
        stage.say("w", "register_worker", capabilities={"supported_job_types": given, "gpu": "x"})
        stage.monitor("m")
        shown = next(message for _, message in stage.log if message["type"] == "stats_broadcast")
        assert shown["workers"]["w"]["supported_job_types"] == understood
        assert shown["workers"]["w"]["capabilities"]["gpu"] == "x"

    def test_capabilities_that_do_not_fit_are_offered_nothing_and_break_the_monitors_view(self) -> None:
        stage = Stage()
        stage.client("c")
        stage.submit("c", "j")
        stage.open(Role.WORKER, "w")
        told = stage.say("w", "register_worker", capabilities={"supported_job_types": ["t"], "memory": 16})
        assert types(told) == ["w: worker_registered", "w: job_notifications_subscribed"]
        stage.monitor("m")
        assert types(stage.log, "m") == ["connection_established"]

    def test_a_silent_worker_is_closed_one_in_each_round(self, stage: Stage) -> None:
        stage.worker("v")
        closed = [sent for sent in stage.wait(200) if sent[1]["type"] == "closed"]
        assert [(name, message["why"]) for name, message in closed] == [
            ("w", "Worker w disconnected"),
            ("v", "Worker v disconnected"),
        ]


class TestMonitors:
    @pytest.fixture
    def stage(self) -> Stage:
        stage = Stage()
        stage.monitor("m")
        stage.log.clear()
        return stage

    def test_channels_filter_broadcasts_and_not_job_messages(self, stage: Stage) -> None:
        told = stage.say("m", "subscribe", channels=["worker_status"])
        assert types(told) == ["m: subscription_confirmed"] * 2
        assert types(stage.say("m", "get_system_status")) == []
        stage.worker("w")
        assert types(stage.say("w", "update_job_progress", job_id="j"), "m") == ["update_job_progress"]
        assert types(stage.say("w", "worker_status"), "m") == ["worker_status", "ack"]

    @pytest.mark.parametrize("channels", ["abc", [1], {"a": 1}])
    def test_channels_that_are_no_list_of_texts_are_confirmed_once(self, stage: Stage, channels: Any) -> None:
        assert only(stage.say("m", "subscribe", channels=channels)) == {
            "type": "subscription_confirmed",
            "channels": channels,
        }

    @pytest.mark.parametrize(
        ("channels", "words"),
        [
            (None, "'NoneType' object is not iterable"),
            (5, "'int' object is not iterable"),
            ([[]], "unhashable type: 'list'"),
        ],
    )
    def test_channels_that_make_no_set(self, stage: Stage, channels: Any, words: str) -> None:
        assert leaked(only(stage.say("m", "subscribe", channels=channels))) == words

    def test_a_change_is_shown_within_a_second_and_everything_every_five(self, stage: Stage) -> None:
        stage.wait(4)
        stage.client("c")
        stage.log.clear()
        stage.submit("c", "j", priority=3)
        shown = [message for _, message in stage.wait(1.1) if message["type"] == "stats_broadcast"]
        assert len(shown) <= 2
        job = shown[0]["system"]["jobs"]["active_jobs"][0]
        assert (job["id"], job["status"], job["priority"], job["worker_id"]) == ("j", "pending", 3, None)
        quiet = types(stage.wait(20), "m").count("stats_broadcast")
        assert quiet == 4

    def test_an_odd_priority_cuts_the_stats_short(self, stage: Stage) -> None:
        stage.client("c")
        stage.worker("w")
        stage.submit("c", "odd", priority=2.5)
        system = next(m for _, m in stage.say("m", "get_system_status") if m["type"] == "stats_broadcast")["system"]
        assert system["jobs"] == {"total": 1, "status": {"pending": 1}, "active_jobs": []}
        assert system["workers"] == {"total": 1, "status": {}, "active_workers": []}


def test_a_wrong_token_is_no_part_of_the_hub() -> None:
    stage = Stage(token="s")
    stage.client("c")
    assert [message["type"] for _, message in stage.log] == ["error", "closed"]
    assert stage.say("c", "stay_alive") == []
    assert stage.leave("c") == []
    assert stage.hub.state.connections[Role.CLIENT] == {}
