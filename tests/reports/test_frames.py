from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results import TranscriptEvent
from reports.frames import show_frame

ACCEPTED = {"type": "job_accepted", "status": "pending", "result": {"images": ["a.png"], "size": 3}}


def shown(message: object, marks: dict[str, str] | None = None) -> str:
    return str(show_frame(TranscriptEvent(at=0, event="receive", message=message), marks or {}))


@pytest.mark.parametrize(
    ("path", "marked"),
    [
        ("type", "<b>job_accepted</b>"),
        ("status", '<i>status</i> "pending"'),
        ("result.size", "<i>size</i> 3"),
        ("result.images[0]", '<i>images</i> ["a.png"]'),
        ("result", '<i>result</i> {"images": ["a.png"], "size": 3}'),
        ("position", "no <i>position</i>"),
        ("result.depth", "no <i>result.depth</i>"),
    ],
)
def test_the_field_that_differs_is_marked_and_nothing_else(path: str, marked: str) -> None:
    found = re.findall('<mark class="different[^"]*">(.*?)</mark>', shown(ACCEPTED, {path: "different"}))
    assert [html.unescape(part) for part in found] == [marked]


def test_two_fields_below_one_are_marked_each_in_its_way() -> None:
    text = shown(ACCEPTED, {"result.size": "noise", "result.images": "declared"})
    assert '<mark class="noise"><i>size</i>' in text
    assert '<mark class="declared"><i>images</i>' in text


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=6), values, max_size=5), st.dictionaries(st.text(max_size=6), st.just("noise")))
def test_whatever_a_frame_holds_its_text_is_all_there_and_no_markup_of_its_own(
    message: dict[str, Any], marks: dict[str, str]
) -> None:
    text = shown(message, marks)
    assert re.sub(r"</?(?:i|b|mark)(?: class=\"noise(?: absent)?\")?>", "", text).count("<") == 0
    plain = html.unescape(re.sub("<[^>]*>", "", text))
    for name, value in message.items():
        if name not in {path.split(".")[0].split("[")[0] for path in marks} and name != "type":
            assert json.dumps(value, ensure_ascii=False) in plain


def test_a_frame_of_another_shape_is_shown_as_it_is() -> None:
    assert html.unescape(shown(["a", 1])) == '["a", 1]'
    assert str(show_frame(TranscriptEvent(at=0, event="receive", text="b'\\x00'"), {})) == "b&#39;\\x00&#39;"
    assert str(show_frame(TranscriptEvent(at=0, event="close"), {})) == ""
