"""What clients ask for is read backwards from what a protocol says."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.protocols import HttpRequest, Submission
from harness.protocols.asked import ACTIONS, Asked, asked_by_frame, asked_by_request, client_at, said
from harness.protocols.description import Described
from harness.protocols.known import SHIPPED, protocol_of

TEXT = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12)


def read(protocol: Described, action: Any) -> Asked | None:
    if isinstance(action, HttpRequest):
        return asked_by_request(protocol.description, action.method, action.path, action.body)
    return asked_by_frame(protocol.description, action)


@pytest.mark.parametrize("name", SHIPPED)
@settings(deadline=None)  # a busy machine is slow
@given(job_id=TEXT, service=TEXT, priority=st.integers(-10, 10))
def test_what_a_protocol_says_is_read_as_what_was_meant(name: str, job_id: str, service: str, priority: int) -> None:
    protocol = protocol_of(name)
    job = Submission(service=service, payload={"prompt": "a cat"}, priority=priority)
    found = read(protocol, protocol.submit(job))
    assert found is not None
    assert (found.action, found.service, found.payload) == ("submit", service, {"prompt": "a cat"})
    said_of = {"cancel": protocol.cancel, "retry": protocol.retry, "follow": protocol.subscribe, "ask": protocol.ask}
    for action, say in said_of.items():
        if getattr(protocol.description, action) is not None and (spoken := say(job_id)) is not None:
            asked = read(protocol, spoken)
            assert asked is not None
            assert (asked.action, asked.job_id) == (action, job_id)
    assert set(ACTIONS) == {"submit", *said_of}


@pytest.mark.parametrize(
    ("template", "value", "found"),
    [
        ({"id": "{job_id}", "type": "x"}, {"type": "x", "more": 1}, {}),
        ({"id": "{job_id}", "type": "x"}, {"type": "y"}, None),
        ("/jobs/{job_id}/events", "/jobs/7/events", {"job_id": "7"}),
        ("/jobs/{job_id}", "/jobs/7/events", None),
        (["{a}", 1], [2, 1], {"a": 2}),
        ("{a}", {"any": "thing"}, {"a": {"any": "thing"}}),
    ],
)
def test_a_template_takes_what_is_of_its_form(template: Any, value: Any, found: Any) -> None:
    assert said(template, value) == found


def test_a_client_is_known_by_its_path() -> None:
    hub, stack = protocol_of("hub").description, protocol_of("stack").description
    assert client_at(hub, "/ws/client/shop-1?token=x") == "shop-1"
    assert client_at(hub, "/ws/worker/w-1") is None
    assert client_at(stack, "/ws/client/shop-1") is None
