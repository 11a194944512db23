"""Settings from the environment, and addresses from URLs."""

from __future__ import annotations

import pytest

from new_stack.queue import QueueSettings, SettingsError


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
    assert QueueSettings.from_environment({"HUBGATE_REDIS_URL": "", "REDIS_URL": "redis://b"}).redis_url == "redis://b"


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


@pytest.mark.parametrize("acknowledgement", ["", "Disk", "replicas", "replicas=0", "replicas=x"])
def test_an_acknowledgement_that_does_not_exist_is_told(acknowledgement: str) -> None:
    with pytest.raises(SettingsError, match="memory, disk or replicas=N"):
        QueueSettings(acknowledgement=acknowledgement)
    assert QueueSettings(acknowledgement="replicas=2").acknowledgement == "replicas=2"
