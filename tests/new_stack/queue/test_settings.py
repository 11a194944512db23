"""Settings from the environment, and addresses from URLs."""

from __future__ import annotations

import pytest

from new_stack.queue import QueueSettings, SettingsError
from new_stack.queue.connection import Address


def test_every_field_is_read_by_its_name() -> None:
    environment = {
        "REDIS_URL": "redis://elsewhere:6380/2",
        "HUBGATE_PREFIX": "{emp}:",
        "HUBGATE_LEASE_MS": "2500",
        "HUBGATE_MAX_RETRIES": "0",
        "UNRELATED": "x",
    }
    settings = QueueSettings.from_environment(environment)
    assert (settings.redis_url, settings.prefix) == ("redis://elsewhere:6380/2", "{emp}:")
    assert (settings.lease_ms, settings.max_retries) == (2500, 0)
    assert QueueSettings.from_environment({}) == QueueSettings()
    assert QueueSettings.from_environment({"HUBGATE_REDIS_URL": "redis://a", "REDIS_URL": "redis://b"}) == (
        QueueSettings(redis_url="redis://a")
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"HUBGATE_LEASE_MS": "soon"}, "HUBGATE_LEASE_MS must be a whole number, not 'soon'."),
        ({"HUBGATE_LEASE_MS": "0"}, "HUBGATE_LEASE_MS must be greater than 0, not 0."),
        ({"HUBGATE_MAX_RETRIES": "-1"}, "HUBGATE_MAX_RETRIES must be 0 or more, not -1."),
    ],
)
def test_a_value_that_cannot_be_is_told_in_one_sentence(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        QueueSettings.from_environment(environment)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", Address()),
        ("redis://h:1/4", Address(host="h", port=1, database=4)),
        ("redis://u:p%40w@h", Address(host="h", username="u", password="p@w")),
        ("rediss://:pw@[::1]:7", Address(host="::1", port=7, password="pw", tls=True)),
        ("unix:///run/redis.sock?db=2", Address(path="/run/redis.sock", database=2)),
    ],
)
def test_addresses(url: str, address: Address) -> None:
    assert Address.parse(url) == address
    assert "pw" not in str(address)


@pytest.mark.parametrize("url", ["http://h", "redis://h:x", "redis://h/first", "h:6379"])
def test_an_address_that_cannot_be_is_told(url: str) -> None:
    with pytest.raises(SettingsError):
        Address.parse(url)
