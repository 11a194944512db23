import time
from typing import Any

import pytest

from harness.cassettes import Role
from harness.cassettes.record import BadRule, Redaction
from harness.cassettes.record.sessions import role_and_name


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


@pytest.mark.parametrize(
    "name",
    ["apiKey", "x-auth", "AWS_SECRET_ACCESS_KEY", "signed_url", "sig", "userCredentials", "oldPassword", "hf_token"],
)
def test_a_field_whose_name_contains_such_a_word_is_blanked_with_all_that_is_in_it(name: str) -> None:
    value = {name: "abc", "inner": {name: {"user": "ann", "n": 1, "more": ["x", None]}}}
    assert Redaction().json(value) == {
        name: "BLANKED",
        "inner": {name: {"user": "BLANKED", "n": 1, "more": ["BLANKED", None]}},
    }


@pytest.mark.parametrize("name", ["assigned_at", "author", "design", "keyword", "max_tokens", "signal", "job_id"])
def test_a_field_that_contains_such_a_word_by_chance_is_kept(name: str) -> None:
    assert Redaction().json({name: "abc"}) == {name: "abc"}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("redis://ann:pa55@db:6379/0 is down", "redis://BLANKED@db:6379/0 is down"),
        ("GET http://h/a?api_key=abc&n=1 failed", "GET http://h/a?api_key=BLANKED&n=1 failed"),
        ("Authorization: Bearer abc123.def", "Authorization: Bearer BLANKED"),
        ("password=hunter2, retrying", "password=BLANKED, retrying"),
        ('{"client_secret": "zaphod42"}', '{"client_secret": "BLANKED"}'),
        ("your key is sk-Ab3dEf6hIj9kLm2nOp", "your key is BLANKED"),
        ("my password is Zx9Qw3Er7Ty1Ui", "my password is BLANKED"),
        ('{\\"api_key\\": \\"zaphod42\\"}', '{\\"api_key\\": \\"BLANKED\\"}'),
        ("<password>zaphod42</password>", "<password>BLANKED</password>"),
        ("run --token Zx9Qw3Er7Ty1Ui", "run --token BLANKED"),
        ("to /?next=http%3A%2F%2Fann%3Apa55%40h%2F", "to /?next=http%3A%2F%2FBLANKED%40h%2F"),
        ("got eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSM", "got BLANKED"),
    ],
)
def test_a_secret_in_a_text_is_blanked(text: str, kept: str) -> None:
    redaction = Redaction()
    assert redaction.json({"error": text}) == {"error": kept}
    assert sum(redaction.blanked.values()) == 1


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"token": 123_456_789}, {"token": "BLANKED"}),
        ({"max_tokens": 123_456, "key": 7, "auth": True}, {"max_tokens": 123_456, "key": 7, "auth": True}),
        (
            {"headers": [{"name": "X-Api-Key", "value": "zaphod42"}]},
            {"headers": [{"name": "X-Api-Key", "value": "BLANKED"}]},
        ),
        ({"headers": [["X-Api-Key", "zaphod42"]]}, {"headers": [["X-Api-Key", "BLANKED"]]}),
        ({"Bearer zaphod42": 1}, {"Bearer BLANKED": 1}),
        (
            {"pass": "zaphod42", "passphrase": "a b", "cookie": "c=1"},
            dict.fromkeys(("pass", "passphrase", "cookie"), "BLANKED"),
        ),
        ({"passed": "yes", "passes": "all"}, {"passed": "yes", "passes": "all"}),
    ],
)
def test_numbers_pairs_and_keys_hide_no_secret(value: dict[str, Any], kept: dict[str, Any]) -> None:
    assert Redaction().json(value) == kept


@pytest.mark.parametrize(
    "text",
    [
        "Authentication failed: Invalid token",
        "a token of thanks, basic settings, the bearer of news",
        "key job-0b2c1f3e-1111-4222-8333-444455556666 is taken",
        "see http://host:8000/path?n=1#part",
        "Job cancelled: the author said so",
    ],
)
def test_a_text_without_a_secret_is_kept(text: str) -> None:
    redaction = Redaction()
    assert redaction.json({"error": text}) == {"error": text}
    assert not redaction.blanked


def test_what_was_blanked_is_counted_by_place_and_a_name_can_be_kept() -> None:
    redaction = Redaction(keep=["Key", "sig"], paths=["$.deep"])
    redaction.path("/ws/client/a?token=s3cret&sig=abcdefgh")
    assert redaction.json({"key": "left", "hf_token": "abcdefg1", "deep": 1, "error": "s3cret and abcdefg1"}) == {
        "key": "left",
        "hf_token": "BLANKED",
        "deep": "BLANKED",
        "error": "BLANKED and BLANKED",
    }
    assert redaction.blanked == {
        "parameter token": 1,
        "field hf_token": 1,
        "$.deep": 1,
        "a secret that was seen before": 2,
    }


@pytest.mark.parametrize(
    ("path", "role", "name"),
    [
        ("/ws/worker/w-1?token=x", Role.WORKER, "w-1"),
        ("/?type=worker&id=w%2F1", Role.WORKER, "w/1"),
        ("/?type=monitor", Role.MONITOR, "monitor"),
        ("/", Role.CLIENT, "client"),
        ("/?type=robot&id=r", Role.CLIENT, "client"),
        ("/ws/robot/r", Role.CLIENT, "client"),
    ],
)
def test_a_role_is_told_by_the_path_or_the_query(path: str, role: Role, name: str) -> None:
    assert role_and_name(path) == (role, name)


@pytest.mark.parametrize("unit", ["x", "a.", "key-", "key ", "sk:", "?a=b", "authauth", "a://"])
def test_a_payload_of_megabytes_is_read_in_one_pass(unit: str) -> None:
    began = time.process_time()
    Redaction().json({"blob": unit * (2_000_000 // len(unit))})
    assert time.process_time() - began < 10, "it takes some tenths of a second; twice nested loops take hours"
