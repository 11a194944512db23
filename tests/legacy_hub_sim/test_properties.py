"""Whatever anybody says in whatever order: the hub stands, and its two rules about jobs hold."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from legacy_hub_sim import Fault
from legacy_hub_sim.core import Frame, Outgoing, Role
from legacy_hub_sim.core.offers import types_of
from legacy_hub_sim.server.delivery import UnsendableError, text_of
from tests.legacy_hub_sim.stage import Stage

ACTORS = {
    "c1": Role.CLIENT,
    "c2": Role.CLIENT,
    "w1": Role.WORKER,
    "w2": Role.WORKER,
    "w3": Role.WORKER,
    "m1": Role.MONITOR,
}
WORKERS = [name for name, role in ACTORS.items() if role is Role.WORKER]
JOBS = ["a", "b", "c", "d", "e"]
TYPES = ["t", "u"]
LEAST = 15
"""Steps in a run at least: left to itself Hypothesis prefers runs too short to set anything up."""

odd = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats(allow_nan=True) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
job_id = st.sampled_from(JOBS)


def weighed(sane: st.SearchStrategy[Any], times: int, other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The sane one so many times as often as the other: `one_of` takes a strategy that is named twice for one."""
    return st.sampled_from([sane] * times + [other]).flatmap(lambda chosen: chosen)


def mostly(sane: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return weighed(sane, 6, odd)


def said(type_: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A message of a type: mostly whole and sane, sometimes with odd fields and without some."""
    sane = st.fixed_dictionaries({"type": st.just(type_), **fields})
    optional = {name: mostly(field) for name, field in fields.items()}
    return weighed(sane, 5, st.fixed_dictionaries({"type": st.just(type_)}, optional=optional))


capabilities = st.fixed_dictionaries({"supported_job_types": st.sets(st.sampled_from(TYPES), min_size=1).map(sorted)})
payload = st.dictionaries(st.sampled_from("xy"), st.integers(0, 3), max_size=2)
CLIENT_SAYS = st.one_of(
    said("submit_job", message_id=job_id, job_type=st.sampled_from(TYPES), priority=st.integers(0, 3), payload=payload),
    said("request_job_status", job_id=job_id),
    said("subscribe_job", job_id=job_id),
    said("cancel_job", job_id=job_id, reason=st.just("why")),
    said("force_retry_job", job_id=job_id),
    said("stay_alive"),
    said("request_stats"),
    said("subscribe_stats"),
)
WORKER_SAYS = st.one_of(
    said("register_worker", capabilities=capabilities, status=st.just("idle")),
    said("claim_job", job_id=job_id),
    said("claim_job", job_id=job_id),
    said("update_job_progress", job_id=job_id, progress=st.integers(-1, 100), message=st.just("m")),
    said("complete_job", job_id=job_id, result=payload),
    said("fail_job", job_id=job_id, error=st.just("boom")),
    said("worker_heartbeat", status=st.sampled_from(["idle", "busy"])),
    said("worker_status", status=st.sampled_from(["idle", "busy"])),
    said("connector_ws_status", connected=st.booleans()),
    said("service_request", content=payload),
)
MONITOR_SAYS = st.one_of(
    said("subscribe", channels=st.lists(st.sampled_from(["stats_broadcast", "worker_status"]))),
    said("get_system_status"),
    said("stay_alive"),
)
SAYS = {Role.CLIENT: CLIENT_SAYS, Role.WORKER: WORKER_SAYS, Role.MONITOR: MONITOR_SAYS}
NOISE = st.one_of(odd.map(json.dumps), st.text(max_size=8), st.binary(max_size=3), CLIENT_SAYS.map(json.dumps))


def line_for(actor: str) -> st.SearchStrategy[tuple[str, str, str | bytes]]:
    sane = SAYS[ACTORS[actor]].map(json.dumps)
    return st.tuples(st.just("say"), st.just(actor), weighed(sane, 9, NOISE))


STEPS = st.lists(
    st.one_of(
        *[line_for(actor) for actor in ACTORS],
        st.tuples(st.just("reopen"), st.sampled_from(sorted(ACTORS)), st.just("")),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from(["0.4", "7", "31"])),
    ),
    min_size=LEAST,
    max_size=60,
)
SWITCHED_OFF = st.just(frozenset[Fault]()) | st.frozensets(st.sampled_from(sorted(Fault)))


class Watched(Stage):
    """A stage that looks at everything sent before it is believed."""

    def take(self, outgoing: list[Outgoing]) -> list[tuple[str, dict[str, Any]]]:
        for item in outgoing:
            if isinstance(item, Frame):
                assert isinstance(item.message["type"], str)
                with contextlib.suppress(UnsendableError):
                    assert json.loads(text_of(item.message, item.style))["type"] == item.message["type"]
        return super().take(outgoing)

    def statuses(self) -> dict[str, str]:
        return {job_id: fields["status"] for job_id, fields in self.store.every()}

    def do(self, step: tuple[str, str, Any]) -> list[tuple[str, dict[str, Any]]]:
        what, actor, given_ = step
        if what == "wait":
            return self.wait(float(given_))
        if what == "reopen":
            self.leave(actor)
            return self.open(ACTORS[actor], actor)
        return self.line(actor, given_)


def staged(without: frozenset[Fault]) -> Watched:
    stage = Watched(*without)
    for name, role in ACTORS.items():
        stage.open(role, name)
    return stage


@settings(max_examples=150, deadline=None)
@given(SWITCHED_OFF, STEPS)
def test_the_hub_stands_and_every_answer_has_a_type(without: frozenset[Fault], steps: list[Any]) -> None:
    stage = staged(without)
    for step in steps:
        stage.do(step)


few = st.sampled_from(["a", "b"])
CONTESTED = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.just("c1"), said("submit_job", message_id=few).map(json.dumps)),
        *[
            st.tuples(st.just("say"), st.just(worker), message.map(json.dumps))
            for worker in WORKERS
            for message in (
                said("claim_job", job_id=few),
                said("claim_job", job_id=few),
                said("fail_job", job_id=few),
                said("complete_job", job_id=few),
                said("worker_status", status=st.just("idle")),
            )
        ],
        st.tuples(st.just("say"), st.just("c1"), said("cancel_job", job_id=few).map(json.dumps)),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from(["0.4", "31", "61"])),
    ),
    min_size=LEAST,
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(SWITCHED_OFF, STEPS | CONTESTED)
def test_a_job_is_assigned_to_one_worker_at_a_time(without: frozenset[Fault], steps: list[Any]) -> None:
    """Assigned only while pending; and pending again only by a failure or by the sweep of stale claims."""
    stage = staged(without)
    for step in steps:
        before = stage.statuses()
        sent = stage.do(step)
        after = stage.statuses()
        assigned = [(name, message["job_id"]) for name, message in sent if message["type"] == "job_assigned"]
        assert len(assigned) <= 1
        for worker, job in assigned:
            assert before[job] == "pending"
            assert after[job] == "claimed"
            assert stage.store.read(job)["worker"] == worker
        for job, status in after.items():
            if status == "pending" and before.get(job, "pending") != "pending":
                failed = isinstance(step[2], str) and '"fail_job"' in step[2]
                assert failed or (before[job] == "claimed" and step[0] == "wait"), step


class Offered(msgspec.Struct, frozen=True):
    """A waiting job as an offer weighs it."""

    job_id: str
    job_type: str
    rank: tuple[int, float]


def offerable(stage: Stage) -> list[Offered]:
    """What may be offered, most urgent first, from the records alone."""
    found = []
    for job in stage.store.queue():
        fields = stage.store.read(job)
        if fields["status"] != "pending" or not isinstance(json.loads(fields["job_request_payload"]), dict | None):
            continue
        found.append(Offered(job, fields["job_type"], (-int(fields["priority"]), float(fields["created_at"]))))
    return sorted(found, key=lambda job: job.rank)


def rounds(offers: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """The offers of one step, cut where a worker is offered a second time."""
    found: list[list[tuple[str, str]]] = []
    for worker, job in offers:
        if not found or worker in [name for name, _ in found[-1]]:
            found.append([])
        found[-1].append((worker, job))
    return found


def check_offers(stage: Stage, offers: list[tuple[str, str]]) -> None:
    jobs = offerable(stage)
    for one_round in rounds(offers):
        taken: set[str] = set()
        for worker, job in one_round:
            failed = stage.hub.state.persisted.failed_by.get(worker, set())
            types = types_of(stage.hub._step(stage.now), worker)
            best = [w.job_id for w in jobs if w.job_type in types and w.job_id not in failed | taken]
            assert best, (worker, job)
            assert job == best[0]
            taken.add(job)


plain_submissions = st.tuples(
    st.just("say"),
    st.sampled_from(["c1", "c2"]),
    st.fixed_dictionaries(
        {
            "type": st.just("submit_job"),
            "job_type": st.sampled_from(TYPES),
            "priority": st.integers(-2, 4),
            "payload": payload,
        },
        optional={"message_id": job_id},
    ).map(json.dumps),
)
ORDERLY = st.lists(
    st.one_of(
        plain_submissions,
        plain_submissions,
        *[line_for(actor) for actor in WORKERS],
        st.tuples(st.just("say"), st.just("c1"), said("cancel_job", job_id=job_id).map(json.dumps)),
        st.tuples(st.just("reopen"), st.sampled_from(WORKERS), st.just("")),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from(["0.4", "31"])),
    ),
    min_size=LEAST,
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(SWITCHED_OFF, ORDERLY)
def test_offers_go_by_priority_then_age(without: frozenset[Fault], steps: list[Any]) -> None:
    stage = staged(without)
    for worker in WORKERS:
        stage.say(worker, "register_worker", capabilities={"supported_job_types": TYPES})
    for step in steps:
        sent = stage.do(step)
        if step[0] != "wait":
            check_offers(stage, [(name, m["job_id"]) for name, m in sent if m["type"] == "job_available"])


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_one_odd_priority_ends_all_offers_of_workers_that_list_its_type(steps: list[Any]) -> None:
    stage = staged(frozenset())
    stage.submit("c1", "odd", priority=0.5)
    for worker in WORKERS:
        stage.say(worker, "register_worker", capabilities={"supported_job_types": TYPES})
    stage.log.clear()
    for step in steps:
        registered = [w for w in WORKERS if "t" in types_of(stage.hub._step(stage.now), w)]
        idle = [w for w in registered if stage.hub.state.status.get(w) == "idle"]
        sent = stage.do(step)
        still = [
            w
            for w in idle
            if stage.hub.state.status.get(w) == "idle" and "t" in types_of(stage.hub._step(stage.now), w)
        ]
        if still and stage.store.peek("odd")[0] == "pending" and "odd" in stage.store.queue():
            assert "job_available" not in [message["type"] for _, message in sent]
