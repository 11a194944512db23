"""What may be submitted, and what counts as the same."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from new_stack.queue import InvalidJob, NewJob
from new_stack.queue.producer import check

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def digest(job: NewJob) -> str:
    return check(job, payload_limit=1000_000, retries=3 if job.max_retries is None else job.max_retries)


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"payload": msgspec.Raw(b"[]")}, "payload", "must be a JSON object"),
        ({"payload": msgspec.Raw(b"null")}, "payload", "must be a JSON object"),
        ({"payload": msgspec.Raw(b"{")}, "payload", "is not JSON"),
        ({"payload": msgspec.Raw(b'{"a":"\xff"}')}, "payload", "is not JSON"),
        ({"payload": msgspec.Raw(b'{"a":' + b"[" * 100_000)}, "payload", "is not JSON"),
        ({"payload": msgspec.Raw(b"{}" + b" " * 1_000_000)}, "payload", "is 1000002 bytes long; the limit is 1000000"),
        ({"id": "."}, "id", "could not be addressed"),
        ({"id": ".."}, "id", "could not be addressed"),
        ({"id": "a/b"}, "id", "could not be addressed"),
        ({"id": "a\\b"}, "id", "could not be addressed"),
        ({"id": "a\nb"}, "id", "control characters"),
        ({"id": "x" * 257}, "id", "longer than 256"),
        ({"priority": True}, "priority", "must be a whole number"),
        ({"priority": 2.5}, "priority", "must be a whole number"),
        ({"priority": "5"}, "priority", "must be a whole number"),
        ({"priority": 2**53 + 1}, "priority", "must be from -9007199254740992 to 9007199254740992"),
        ({"max_retries": -1}, "max_retries", "must be from 0 to 1000"),
        ({"service_required": ""}, "service_required", "must not be empty"),
        ({"service_required": 5}, "service_required", "must be text"),
        ({"id": " "}, "id", "must not be empty"),
        ({"id": "a\nb"}, "id", "must not contain control characters"),
        ({"id": "\ud800"}, "id", "must not contain control characters"),
        ({"client_id": "c" * 257}, "client_id", "must not be longer than 256 characters"),
    ],
)
def test_what_cannot_be_a_job_is_refused_with_its_field(changes: dict, field: str, reason: str) -> None:
    with pytest.raises(InvalidJob) as invalid:
        digest(NewJob(**changes))
    assert invalid.value.field == field
    assert reason in invalid.value.reason


@given(content=st.dictionaries(st.text(), json, max_size=5))
def test_key_order_and_white_space_make_no_other_job(content: dict) -> None:
    turned = dict(reversed(content.items()))
    spaced = msgspec.json.format(msgspec.json.encode(turned), indent=3)
    assert digest(NewJob(payload=msgspec.Raw(msgspec.json.encode(content)))) == digest(
        NewJob(payload=msgspec.Raw(spaced))
    )


@pytest.mark.parametrize(
    "other",
    [{"payload": msgspec.Raw(b'{"a":1}')}, {"priority": 1}, {"service_required": "x"}, {"max_retries": 4}],
)
def test_other_content_is_another_job(other: dict) -> None:
    assert digest(NewJob(**other)) != digest(NewJob())


def own(**fields: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(fields))


@pytest.mark.parametrize(
    "extra",
    [
        own(requirements={"region": "eu"}),
        own(requirements={"region": "us"}),
        own(customer_id="acme"),
        own(workflow_priority=1),
        own(requirements={"hardware": {"ram_gb": 10**30}}),
        msgspec.Raw(b"[]"),
    ],
)
def test_what_says_which_worker_may_take_it_and_when_makes_another_job(extra: msgspec.Raw) -> None:
    others = {digest(NewJob()), digest(NewJob(extra=own(requirements={"models": ["sdxl"]})))}
    assert digest(NewJob(extra=extra)) not in others
    assert digest(NewJob(extra=extra)) == digest(NewJob(extra=extra))


def test_the_order_of_requirements_and_a_clients_own_notes_make_no_other_job() -> None:
    asked = NewJob(extra=own(requirements={"region": "eu", "models": ["sdxl"]}))
    turned = NewJob(extra=own(sent_at=5, requirements={"models": ["sdxl"], "region": "eu"}, step_number=1))
    assert digest(asked) == digest(turned)
    assert digest(NewJob()) == digest(NewJob(extra=own(sent_at=5, requirements=None)))


def test_a_default_spelt_out_and_another_submitter_are_the_same_job() -> None:
    assert digest(NewJob(max_retries=3, client_id="c")) == digest(NewJob())


def test_a_number_of_any_size_may_be_submitted() -> None:
    huge = msgspec.Raw(b'{"n": 123456789012345678901234567890}')
    assert digest(NewJob(payload=huge)) == digest(NewJob(payload=huge))


@pytest.mark.parametrize("job_id", ["{a}", "a}b{", "...", "a b", "ü%2F", "x" * 256, "a:b?c#d"])
def test_an_id_that_can_be_addressed_is_taken(job_id: str) -> None:
    assert digest(NewJob(id=job_id))
