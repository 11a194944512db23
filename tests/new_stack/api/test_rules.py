"""The pure rules, by property: translation, cursors, frames, fan-out, limits, settings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from new_stack.api.guard.limits import TokenBucket
from new_stack.api.http.problems import ProblemError
from new_stack.api.legacy.hub import HUB
from new_stack.api.legacy.hub import event_frame as legacy_frame
from new_stack.api.legacy.messages import Refusal, job_id_of, read_message, text_field
from new_stack.api.legacy.rest import read_legacy_job
from new_stack.api.legacy.v2 import client as v2_client
from new_stack.api.legacy.v2 import monitor as v2_monitor
from new_stack.api.modern.wording import plainly
from new_stack.api.operation import exposition
from new_stack.api.operation.metrics import Metrics
from new_stack.api.settings import ApiSettings
from new_stack.api.snapshot import Snapshot
from new_stack.api.sse.cursor import PageSize, before, resume
from new_stack.api.sse.stream import event_frame
from new_stack.api.streaming.fanout import ALL, TOO_SLOW, FanOut, Published, of_client, of_job
from new_stack.queue import Event, EventKind, QueueCounts
from new_stack.queue.events import FOR_MONITORS, parse_id
from new_stack.queue.jobs import PRIORITY_LIMIT
from new_stack.settings import SettingsError

texts = st.text(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
types = st.sampled_from(
    [
        "submit_job",
        "request_job_status",
        "subscribe_job",
        "cancel_job",
        "force_retry_job",
        "stay_alive",
        "subscribe_stats",
        "request_stats",
        "subscribe",
        "subscribe_progress",
        "get_job_status",
        "monitor_connect",
        "resync_request",
    ]
)
names = st.sampled_from(
    ["job_type", "priority", "payload", "message_id", "job_id", "reason", "data", "id", "topics", "filters", "channels"]
)


def event(kind: EventKind, number: int, *, job_id: str = "j", client_id: str | None = None, **more: Any) -> Event:
    return Event(
        id=f"{1000 + number}-0",
        kind=kind,
        job_id=job_id,
        at=1000 + number,
        service_required="a",
        priority=0,
        client_id=client_id,
        **more,
    )


def refused_or(read: Callable[..., Any], *arguments: Any) -> Any:
    """What `read` answers, or the words it refuses with; anything else it raises is a fault."""
    try:
        return read(*arguments)
    except (Refusal, ProblemError) as refusal:
        return str(refusal)


# what clients send
@given(st.text() | json_values.map(json.dumps))
def test_any_text_is_read_or_refused(text: str) -> None:
    fields = refused_or(read_message, text)
    if isinstance(fields, str):
        assert fields.startswith(("Invalid JSON format", "Server error processing message: '"))
    else:
        assert isinstance(json.loads(text), dict)
        assert set(fields) == set(json.loads(text))


@given(types | json_values, st.dictionaries(names, json_values))
def test_any_message_is_an_action_or_refused(kind: Any, more: dict[str, Any]) -> None:
    fields = read_message(json.dumps({"type": kind} | more))
    for dialect in (HUB, v2_client.V2):
        assert refused_or(dialect.job, fields, "client-a")
    assert refused_or(job_id_of, fields)
    refused_or(text_field, fields, "reason")
    for look in (v2_client.is_v2_message, v2_monitor.is_v2_message, v2_monitor.read_interest):
        assert refused_or(look, fields) is not None


@given(st.dictionaries(st.sampled_from(["job_type", "payload", "priority", "job_id", "wait", "timeout"]), json_values))
def test_any_legacy_body_is_a_job_or_refused_field_by_field(body: dict[str, Any]) -> None:
    wanted = refused_or(read_legacy_job, json.dumps(body).encode(), "x")
    if isinstance(wanted, str):
        assert wanted
    else:
        assert wanted[0].service_required == body["job_type"]
        assert isinstance(body["payload"], dict)


@given(st.integers(-PRIORITY_LIMIT, PRIORITY_LIMIT))
def test_a_whole_priority_is_taken(priority: int) -> None:
    for spelled in (str(priority), f"{priority}.0"):
        job = HUB.job(read_message(f'{{"type": "submit_job", "priority": {spelled}}}'), "c")
        assert job.priority == priority


@pytest.mark.parametrize(
    "priority", ["2.5", '"5"', "null", "true", "[]", str(PRIORITY_LIMIT + 1), "1e400", "NaN", "1" + "0" * 400]
)
def test_no_other_priority_is(priority: str) -> None:
    with pytest.raises(Refusal):
        HUB.job(read_message(f'{{"type": "submit_job", "priority": {priority}}}'), "c")


# what they get
@pytest.mark.parametrize("kind", list(EventKind))
def test_every_kind_of_event_has_its_words_in_every_dialect(kind: EventKind) -> None:
    happened = event(kind, 0, worker_id="w", progress=5.0, message="m", error="e")
    frame = legacy_frame(happened)
    silent = {EventKind.SUBMITTED, EventKind.RELEASED, EventKind.LEASE_EXPIRED, EventKind.LOG, *FOR_MONITORS}
    assert (frame is None) == (kind in silent)
    assert (v2_client.V2.text(happened) == "") == (kind in silent)
    interested = v2_monitor.Interest(topics=frozenset({"jobs"})).wants_event(happened)
    assert interested == (kind is not EventKind.LOG)
    if interested:
        assert v2_monitor.event_message(happened)["job_id"] == "j"


# cursors
@given(st.text(max_size=30) | st.integers(999, 1008).map(lambda ms: f"{ms}-0"), st.booleans(), st.integers(0, 8))
def test_no_cursor_is_ever_silently_wrong(cursor: str, complete: bool, length: int) -> None:
    history = [event(EventKind.SUBMITTED if complete and n == 0 else EventKind.PROGRESS, n) for n in range(length)]
    at = parse_id(cursor) if cursor else None
    found = next((entry for entry in history if parse_id(entry.id) == at), None)
    plan = resume(next(iter(history), None), found, cursor)
    if found is not None:
        assert (plan.after, plan.gap) == (at, None)
    else:
        whole = (not cursor or at == (0, 0)) and complete and length > 0
        assert (plan.gap is None) == whole
        assert plan.after == (0, 0)


@given(st.lists(st.integers(0, 10**6), max_size=50))
def test_pages_keep_within_bounds_whatever_they_become(sizes: list[int]) -> None:
    pages = PageSize()
    for size in sizes:
        pages.adapt(size)
        assert 1 <= pages.count <= 500


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_before_is_the_id_right_before(ms: int, sequence: int) -> None:
    found = parse_id(before((ms, sequence)))
    assert found is not None
    if (ms, sequence) != (0, 0):
        assert found < (ms, sequence)
        assert found in {(ms, sequence - 1), (ms - 1, 2**64 - 1)}


# frames
@given(json_values, st.text() | st.none())
def test_an_event_comes_back_whole_from_its_frame(result: Any, message: str | None) -> None:
    laid_out = msgspec.Raw(json.dumps(result, indent=2).replace("\n", "\r\n").encode())
    text = event_frame(event(EventKind.COMPLETED, 1, result=laid_out, message=message)).decode()
    assert text.endswith("\n\n")
    assert "\n\n" not in text[:-2]
    assert "\r" not in text
    lines = [line.partition(": ") for line in text.split("\n") if line]
    assert {name for name, _, _ in lines} == {"id", "event", "data"}
    data = json.loads("\n".join(value for name, _, value in lines if name == "data"))
    assert data.get("message") == message
    assert data["result"] == result


# fan-out
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y", None])), max_size=40),
    st.sets(st.sampled_from("abc")),
    st.sets(st.sampled_from("xy"), max_size=1),
    st.booleans(),
)
def test_each_subscriber_gets_what_it_follows_once_and_in_order(
    happened: list[tuple[str, str | None]], jobs: set[str], clients: set[str], everything: bool
) -> None:
    fanout = FanOut(100)
    subscriber = fanout.subscriber()
    for job_id in jobs:
        fanout.follow(subscriber, of_job(job_id))
    for client_id in clients:
        fanout.follow(subscriber, of_client(client_id))
    if everything:
        fanout.follow(subscriber, ALL)
    events = [
        event(EventKind.PROGRESS, number, job_id=job_id, client_id=client_id)
        for number, (job_id, client_id) in enumerate(happened)
    ]
    fanout.publish(events)
    items = asyncio.run(subscriber.take(0))
    got = [item.event for item in items if isinstance(item, Published)]
    assert got == [entry for entry in events if everything or entry.job_id in jobs or entry.client_id in clients]
    fanout.remove(subscriber)
    assert fanout.figures()["subscribers"] == 0
    assert not fanout._followers


def test_a_full_queue_closes_its_subscriber_only() -> None:
    fanout = FanOut(2)
    slow, quick = fanout.subscriber(), fanout.subscriber()
    for subscriber in (slow, quick):
        fanout.follow(subscriber, ALL)
    for number in range(3):
        fanout.publish([event(EventKind.PROGRESS, number)])
        assert len(asyncio.run(quick.take(0))) == 1
    assert slow.closed == TOO_SLOW
    assert asyncio.run(slow.take(0)) == []
    assert quick.closed is None
    fanout.remove(slow)
    assert fanout.too_slow == 1


async def test_a_large_result_is_fetched_once_for_all() -> None:
    fetched = []

    async def fetch(job_id: str) -> Any:
        fetched.append(job_id)
        await asyncio.sleep(0)
        return SimpleNamespace(result=msgspec.Raw(b"1"))

    item = Published(event(EventKind.COMPLETED, 1, result_omitted=True))
    queue: Any = SimpleNamespace(job=fetch)
    await asyncio.gather(*(item.complete(queue) for _ in range(10)))
    assert fetched == ["j"]
    assert b'"result":1' in item.encoded(event_frame)


# limits
@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_a_bucket_never_lets_more_through_than_burst_and_rate(gaps: list[float]) -> None:
    now = 0.0
    bucket = TokenBucket(10, lambda: now)
    passed: list[float] = []
    for gap in gaps:
        now += gap
        now += bucket.delay()
        passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= 20 + 10 * (passed[last] - passed[first]) + 1.001


# words
@pytest.mark.parametrize(
    ("words", "plain"),
    [
        ("Expected `int`, got `str`", "must be a whole number, not text"),
        ("Expected `str | null`, got `array`", "must be text or null, not a list"),
        ("Expected `int` >= -4096", "must be -4096 or more"),
        ("Expected `int` <= 4096", "must be 4096 or less"),
        ("Expected `str` of length >= 1", "must have at least 1 character"),
        ("Expected `str | null` of length <= 256", "must have at most 256 characters"),
    ],
)
def test_validation_is_told_plainly(words: str, plain: str) -> None:
    assert plainly(words) == plain


# metrics
def test_metrics_escape_labels_and_add_up() -> None:
    metrics = Metrics()
    for seconds in (0.0001, 0.2, 9.0):
        metrics.request("GET", "/x", 200, seconds)
    counts = QueueCounts(
        pending=2, claimed=0, completed=0, failed=0, cancelled=0, delayed=0, by_service={'a"\n\\': 2_000_000}
    )
    process = {"subscribers": 1, "events_published": 2, "slow_readers": 3}
    text = exposition.page(metrics, process, {"sse": 4}, Snapshot(counts, (), ())).decode()
    assert 'hubgate_jobs_pending{service="a\\"\\n\\\\"} 2e+06' in text
    assert "hubgate_slow_readers_total 3.0" in text
    assert 'le="0.25",method="GET",route="/x"} 2.0' in text
    assert 'hubgate_http_request_seconds_count{method="GET",route="/x"} 3.0' in text


def test_metrics_have_a_bounded_number_of_services() -> None:
    by_service = {f"service-{number}": number for number in range(1, 301)}
    counts = QueueCounts(pending=0, claimed=0, completed=0, failed=0, cancelled=0, delayed=0, by_service=by_service)
    process = {"subscribers": 0, "events_published": 0, "slow_readers": 0}
    lines = exposition.page(Metrics(), process, {}, Snapshot(counts, (), ())).decode().splitlines()
    series = [line for line in lines if line.startswith("hubgate_jobs_pending{")]
    assert len(series) == 101
    assert sum(float(line.rpartition(" ")[2]) for line in series) == sum(by_service.values())


# settings
def test_options_beat_the_environment_and_that_beats_defaults() -> None:
    environment = {
        "API_PORT": "9000",
        "REDIS_URL": "redis://r:1/2",
        "CORS_ORIGINS": "https://a, https://b",
        "WEBSOCKET_AUTH_TOKEN": "t",
        "HUBGATE_PREFIX": "p:",
        "HUBGATE_KEEPALIVE_MS": "7",
        "HUBGATE_OPEN_REST": "yes",
    }
    settings = ApiSettings.from_environment(environment, {"port": 1234, "token": None})
    assert (settings.port, settings.token, settings.keepalive_ms, settings.open_rest) == (1234, "t", 7, True)
    assert settings.cors_origins == ("https://a", "https://b")
    assert (settings.queue.redis_url, settings.queue.prefix) == ("redis://r:1/2", "p:")
    assert ApiSettings.from_environment({}) == ApiSettings()


@pytest.mark.parametrize("name", ["API_PORT", "HUBGATE_BODY_LIMIT", "HUBGATE_LEASE_MS", "HUBGATE_OPEN_REST"])
def test_a_malformed_setting_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        ApiSettings.from_environment({name: "a lot"})
