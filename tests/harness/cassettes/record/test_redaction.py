from typing import Any

import pytest

from harness.cassettes.record import BadRule, Redaction


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/ws/client/a?token=s3cret", "/ws/client/a?token=BLANKED"),
        ("/ws/client/a?x=1&TOKEN=s3cret&y=2", "/ws/client/a?x=1&TOKEN=BLANKED&y=2"),
        ("/ws/client/a?token=", "/ws/client/a?token="),
        ("/api/jobs/x", "/api/jobs/x"),
    ],
)
def test_a_token_in_a_query_is_blanked(path: str, kept: str) -> None:
    assert Redaction().path(path) == kept


def test_authorization_is_kept_by_name_only() -> None:
    headers = {"Authorization": "Bearer s3cret", "Last-Event-ID": "1-0", "User-Agent": "x"}
    kept = Redaction().kept_headers(headers, ("Authorization", "Last-Event-ID"))
    assert kept == {"Authorization": "BLANKED", "Last-Event-ID": "1-0"}


def test_a_token_that_was_seen_is_blanked_wherever_it_turns_up() -> None:
    redaction = Redaction()
    redaction.path("/ws/client/a?token=s3cret")
    assert redaction.json({"error": "the token s3cret is wrong"}) == {"error": "the token BLANKED is wrong"}
    assert redaction.text("s3cret") == "BLANKED"


def test_fields_that_are_named_like_secrets_are_blanked_at_any_depth() -> None:
    value = {"payload": [{"api_key": "k", "Password": "p", "prompt": "a cat", "token": 5}]}
    assert Redaction().json(value) == {
        "payload": [{"api_key": "BLANKED", "Password": "BLANKED", "prompt": "a cat", "token": 5}]
    }


@pytest.mark.parametrize(
    ("path", "blanked"),
    [
        ("$.a.b", {"a": {"b": "BLANKED", "c": [1, 2]}, "d": [{"b": 3}]}),
        (".a.c[1]", {"a": {"b": 0, "c": [1, "BLANKED"]}, "d": [{"b": 3}]}),
        ("$.a.c[*]", {"a": {"b": 0, "c": ["BLANKED", "BLANKED"]}, "d": [{"b": 3}]}),
        ("$.d[0].b", {"a": {"b": 0, "c": [1, 2]}, "d": [{"b": "BLANKED"}]}),
        ("$..b", {"a": {"b": "BLANKED", "c": [1, 2]}, "d": [{"b": "BLANKED"}]}),
        ("$.a.*", {"a": {"b": "BLANKED", "c": "BLANKED"}, "d": [{"b": 3}]}),
        ("$.none.here", {"a": {"b": 0, "c": [1, 2]}, "d": [{"b": 3}]}),
    ],
)
def test_a_json_path_says_what_else_is_blanked(path: str, blanked: Any) -> None:
    assert Redaction(paths=[path]).json({"a": {"b": 0, "c": [1, 2]}, "d": [{"b": 3}]}) == blanked


@pytest.mark.parametrize("path", ["", "$", "a.b", "$.a[", "$.a[x]"])
def test_a_rule_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(BadRule):
        Redaction(paths=[path])
