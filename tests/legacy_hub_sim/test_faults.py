"""Each of the nine faults as the hub has it, and what a hub without it does instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from legacy_hub_sim import ALL_FAULTS, Fault, UnknownFaultError, all_without
from legacy_hub_sim.core import Role
from legacy_hub_sim.stores import MemoryStore
from tests.legacy_hub_sim.stage import Stage, only, types


def test_faults_are_switched_off_by_name() -> None:
    assert all_without([]) == ALL_FAULTS
    assert ALL_FAULTS - all_without(["lost-offers", "amnesia"]) == {Fault.LOST_OFFERS, Fault.AMNESIA}
    with pytest.raises(UnknownFaultError, match="linear-cost"):
        all_without(["slow"])


def job_held_by_a_worker_that_vanished(*without: Fault) -> Stage:
    stage = Stage(*without)
    stage.client("c")
    stage.worker("gone")
    stage.submit("c", "j")
    stage.say("gone", "claim_job", job_id="j")
    stage.leave("gone")
    stage.worker("idle")
    return stage


class TestVanishedWorker:
    def test_the_job_is_pending_again_and_nobody_is_offered_it(self) -> None:
        stage = job_held_by_a_worker_that_vanished()
        assert "idle: job_available" not in types(stage.wait(75))
        assert stage.store.read("j")["status"] == "pending"
        assert "worker" not in stage.store.read("j")

    def test_a_report_of_any_worker_brings_it_back(self) -> None:
        stage = job_held_by_a_worker_that_vanished()
        stage.wait(61)
        assert types(stage.say("idle", "worker_status", status="idle")) == ["idle: job_available"]

    def test_progress_keeps_a_claim_from_going_stale(self) -> None:
        stage = Stage()
        stage.worker("w")
        stage.client("c")
        stage.submit("c", "j")
        stage.say("w", "claim_job", job_id="j")
        for percent in range(0, 100, 20):
            stage.wait(25)
            stage.say("w", "worker_heartbeat", status="busy")
            stage.say("w", "update_job_progress", job_id="j", progress=percent)
        assert stage.store.read("j")["status"] == "claimed"
        stage.wait(61)
        assert stage.store.read("j")["status"] == "pending"

    def test_without_it_the_sweep_offers_what_it_took_back(self) -> None:
        stage = job_held_by_a_worker_that_vanished(Fault.VANISHED_WORKER)
        assert "idle: job_available" in types(stage.wait(61))


class TestOddPriority:
    def test_a_fraction_silences_every_submission_of_its_type_and_every_offer(self) -> None:
        stage = Stage()
        stage.client("c")
        assert stage.submit("c", "odd", priority=2.5) == []
        assert stage.submit("c", "next") == []
        assert types(stage.worker("w")) == ["w: worker_registered", "w: job_notifications_subscribed"]
        assert stage.store.read("odd")["priority"] == "2.5"

    def test_a_fraction_in_another_type_silences_no_submission(self) -> None:
        stage = Stage()
        stage.client("c")
        stage.submit("c", "odd", priority=2.0, job_type="other")
        assert types(stage.submit("c", "plain")) == ["c: job_accepted"]

    def test_a_text_is_refused_and_counted_and_never_offered(self) -> None:
        stage = Stage()
        stage.client("c")
        refused = only(stage.submit("c", "odd", priority="5"))
        assert refused["error"] == 'Server error processing message: can only concatenate str (not "int") to str'
        assert only(stage.submit("c", "plain"))["position"] == 2
        assert [sent["job_id"] for _, sent in stage.worker("w") if sent["type"] == "job_available"] == ["plain"]

    @pytest.mark.parametrize(("priority", "kind"), [(None, "NoneType"), (True, "bool"), ([1], "list"), ({}, "dict")])
    def test_what_redis_does_not_take_leaks_its_words_and_stores_nothing(self, priority: Any, kind: str) -> None:
        stage = Stage()
        stage.client("c")
        refused = only(stage.submit("c", "odd", priority=priority))
        words = f"Invalid input of type: '{kind}'. Convert to a bytes, string, int or float first."
        assert refused["error"] == f"Server error processing message: {words}"
        assert not stage.store.exists("odd")

    def test_a_number_beyond_a_float_is_stored_and_not_queued(self) -> None:
        stage = Stage()
        stage.client("c")
        refused = only(stage.submit("c", "odd", priority=10**400))
        assert refused["error"] == "Server error processing message: int too large to convert to float"
        assert stage.store.exists("odd")
        assert stage.store.queue() == []

    @pytest.mark.parametrize("priority", [2.5, 2.0, "5", None, True, [1]])
    def test_without_it_only_whole_numbers_are_taken(self, priority: Any) -> None:
        stage = Stage(Fault.ODD_PRIORITY)
        stage.client("c")
        assert only(stage.submit("c", "odd", priority=priority))["type"] == "error"
        assert not stage.store.exists("odd")
        assert types(stage.submit("c", "plain")) == ["c: job_accepted"]


class TestOneSubscriber:
    def watched(self, *without: Fault) -> Stage:
        stage = Stage(*without)
        stage.worker("w")
        stage.client("c")
        stage.client("d")
        stage.submit("c", "j")
        assert types(stage.say("d", "subscribe_job", job_id="j")) == ["d: subscription_confirmed"]
        return stage

    def test_the_second_is_confirmed_and_told_nothing(self) -> None:
        stage = self.watched()
        assert types(stage.say("w", "claim_job", job_id="j")) == ["w: job_assigned", "c: response_job_status"]

    def test_who_comes_back_is_told_nothing_even_after_asking(self) -> None:
        stage = self.watched()
        stage.leave("c")
        stage.client("c")
        assert types(stage.say("c", "request_job_status", job_id="j")) == ["c: response_job_status"]
        assert types(stage.say("w", "claim_job", job_id="j")) == ["w: job_assigned"]

    def test_the_next_submitter_under_the_id_takes_the_place(self) -> None:
        stage = self.watched()
        stage.submit("d", "j")
        assert types(stage.say("w", "claim_job", job_id="j"), "d") == ["response_job_status"]

    def test_a_job_named_as_a_client_is_subscribed_the_wrong_way_round(self) -> None:
        stage = self.watched()
        stage.say("d", "subscribe_job", job_id="c")
        assert stage.hub.state.persisted.subscribers["d"] == ["c"]

    def test_without_it_both_are_told_and_stay_so_over_a_reconnect(self) -> None:
        stage = self.watched(Fault.ONE_SUBSCRIBER)
        stage.leave("c")
        stage.client("c")
        told = types(stage.say("w", "claim_job", job_id="j"))
        assert told == ["w: job_assigned", "c: response_job_status", "d: response_job_status"]


class TestDeafCancel:
    def cancelled(self, *without: Fault) -> tuple[Stage, list[str]]:
        stage = Stage(*without)
        stage.worker("w")
        stage.client("c")
        stage.submit("c", "j")
        stage.say("w", "claim_job", job_id="j")
        return stage, types(stage.say("c", "cancel_job", job_id="j"))

    def test_the_worker_is_not_told_and_its_completion_overwrites_the_end(self) -> None:
        stage, told = self.cancelled()
        assert told == ["c: response_job_status"] * 2
        assert types(stage.say("w", "update_job_progress", job_id="j", progress=9)) == ["c: update_job_progress"]
        assert types(stage.say("w", "complete_job", job_id="j")) == ["c: complete_job", "w: job_completed_ack"]
        assert stage.store.read("j")["status"] == "completed"

    def test_without_it_the_worker_is_told_and_what_it_says_changes_nothing(self) -> None:
        stage, told = self.cancelled(Fault.DEAF_CANCEL)
        assert told == ["c: response_job_status"] * 2 + ["w: cancel_job"]
        assert stage.say("w", "update_job_progress", job_id="j", progress=9) == []
        assert types(stage.say("w", "complete_job", job_id="j")) == ["w: job_completed_ack"]
        assert stage.store.read("j")["status"] == "cancelled"

    def test_without_it_a_late_failure_does_not_queue_the_job_again(self) -> None:
        stage, _ = self.cancelled(Fault.DEAF_CANCEL)
        assert types(stage.say("w", "fail_job", job_id="j", error="x")) == ["w: job_failed_ack"]
        assert stage.store.read("j")["status"] == "cancelled"


class TestDuplicateId:
    def test_the_second_is_stored_as_another_job(self) -> None:
        stage = Stage()
        stage.client("c")
        stage.submit("c", "j")
        assert only(stage.submit("c", "j", payload={"other": 1}))["job_id"] == "j"
        assert len(list(stage.store.every())) == 2

    def test_the_second_is_not_answered_once_the_first_is_no_longer_pending(self) -> None:
        stage = Stage()
        stage.client("c")
        stage.submit("c", "j")
        stage.say("c", "cancel_job", job_id="j")
        assert stage.submit("c", "j") == []
        assert len(list(stage.store.every())) == 2

    def test_without_it_the_same_is_answered_with_the_job_there_is(self) -> None:
        stage = Stage(Fault.DUPLICATE_ID)
        stage.client("c")
        stage.submit("c", "j")
        assert only(stage.submit("c", "j"))["position"] == 1
        stage.say("c", "cancel_job", job_id="j")
        assert only(stage.submit("c", "j"))["status"] == "cancelled"
        assert only(stage.submit("c", "j", payload={"other": 1}))["error"] == "Job j already exists"
        assert len(list(stage.store.every())) == 1


class TestBinaryFrame:
    @pytest.mark.parametrize("role", [Role.CLIENT, Role.MONITOR])
    def test_the_connection_stays_open_and_unread(self, role: Role) -> None:
        stage = Stage()
        stage.open(role, "x")
        assert stage.line("x", b'{"type": "stay_alive"}') == []
        assert stage.say("x", "stay_alive") == []
        assert "x" not in stage.hub.state.connections[role]
        assert stage.leave("x") == []

    def test_a_worker_is_closed(self) -> None:
        stage = Stage()
        stage.worker("w")
        assert stage.line("w", b"{}") == [("w", {"type": "closed", "code": 1000, "why": "Worker w disconnected"})]

    def test_without_it_the_frame_is_read_as_text(self) -> None:
        stage = Stage(Fault.BINARY_FRAME)
        stage.client("c")
        assert only(stage.line("c", b'{"type": "stay_alive"}'))["status"] == "acknowledged"
        assert only(stage.line("c", b"\xff"))["error"] == "Invalid JSON format"


class TestLostOffers:
    def two_jobs(self, *without: Fault) -> Stage:
        stage = Stage(*without)
        stage.worker("w")
        stage.client("c")
        stage.submit("c", "j1")
        stage.submit("c", "j2")
        stage.say("w", "claim_job", job_id="j1")
        return stage

    def test_a_worker_that_completed_is_offered_nothing_until_it_says_idle(self) -> None:
        stage = self.two_jobs()
        assert "w: job_available" not in types(stage.say("w", "complete_job", job_id="j1") + stage.wait(20))
        assert types(stage.say("w", "worker_heartbeat")) == ["w: job_available", "w: worker_heartbeat_ack"]

    def test_without_it_the_next_offer_follows_the_completion_and_is_repeated(self) -> None:
        stage = self.two_jobs(Fault.LOST_OFFERS)
        assert types(stage.say("w", "complete_job", job_id="j1"), "w") == ["job_completed_ack", "job_available"]
        assert types(stage.wait(3)).count("w: job_available") >= 2


class CountingStore(MemoryStore):
    """Counts the records that are read."""

    reads = 0

    def read(self, job_id: str) -> dict[str, str]:
        self.reads += 1
        return super().read(job_id)

    def peek(self, job_id: str) -> tuple[str | None, str | None]:
        self.reads += 1
        return super().peek(job_id)

    def every(self) -> Iterator[tuple[str, dict[str, str]]]:
        yield from super().every()


class TestLinearCost:
    def reads_of_one_submission(self, ended: int, *without: Fault) -> int:
        store = CountingStore()
        stage = Stage(*without, store=store)
        stage.client("c")
        stage.worker("w")
        for number in range(ended):
            stage.submit("c", f"j{number}")
            stage.say("w", "claim_job", job_id=f"j{number}")
            stage.say("w", "complete_job", job_id=f"j{number}")
        before = store.reads
        assert "c: job_accepted" in types(stage.submit("c", "last"))
        return store.reads - before

    def test_a_submission_reads_every_job_there_ever_was_and_so_does_its_offer(self) -> None:
        assert self.reads_of_one_submission(40) - self.reads_of_one_submission(10) == 30 * 2

    def test_without_it_jobs_that_ended_are_not_read(self) -> None:
        few, many = (self.reads_of_one_submission(count, Fault.LINEAR_COST) for count in (10, 40))
        assert few == many <= 4

    def test_without_it_the_answers_are_the_same(self) -> None:
        def told(*without: Fault) -> list[Any]:
            stage = Stage(*without)
            stage.client("c")
            for number, priority in enumerate((0, 5, 0, 10, 5)):
                stage.submit("c", f"j{number}", priority=priority)
            stage.say("c", "cancel_job", job_id="j4")
            stage.worker("w")
            for job_id in ("j3", "j1"):
                stage.say("w", "claim_job", job_id=job_id)
                stage.say("w", "fail_job", job_id=job_id, error="x")
            return stage.log

        assert told() == told(Fault.LINEAR_COST)


class TestAmnesia:
    def restarted(self, *without: Fault) -> Stage:
        before = Stage(*without)
        before.client("c")
        before.worker("w")
        before.submit("c", "j")
        before.say("w", "claim_job", job_id="j")
        before.say("w", "fail_job", job_id="j", error="x")
        after = Stage(*without, store=before.store)
        after.client("c")
        return after

    def test_a_restart_forgets_who_failed_a_job_and_who_is_told_of_it(self) -> None:
        stage = self.restarted()
        assert "w: job_available" in types(stage.worker("w"))
        stage.worker("v")
        assert types(stage.say("v", "claim_job", job_id="j"), "c") == []

    def test_without_it_both_are_remembered(self) -> None:
        stage = self.restarted(Fault.AMNESIA)
        assert "w: job_available" not in types(stage.worker("w"))
        stage.worker("v")
        assert types(stage.say("v", "claim_job", job_id="j"), "c") == ["response_job_status"]
