"""The room's README says what is so: its faults, its messages and the recordings that cover them."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

import legacy_hub_sim
from harness.cassettes import Receive, Request, Send
from legacy_hub_sim import Fault
from legacy_hub_sim.core import clients, workers
from tests.legacy_hub_sim.cassettes import NAMES, cassette

README = (Path(legacy_hub_sim.__file__).parent / "README.md").read_text()
NONSENSE = {("worker", "to the hub", "submit_job"), ("http", "to the hub", "GET /nowhere")}
"""Sent by the recordings to be refused."""

Key = tuple[str, str, str]


def recorded() -> dict[Key, set[str]]:
    """Every message that the recordings hold: who, which way, which type."""
    found: dict[Key, set[str]] = defaultdict(set)
    for name in NAMES:
        tape = cassette(name)
        for event in tape.events:
            match event:
                case Send(content={"type": str(type_)}) if type_ != "dance":
                    found[tape.roles[event.actor], "to the hub", type_].add(name)
                case Receive(content={"type": str(type_)}):
                    found[tape.roles[event.actor], "from the hub", type_].add(name)
                case Request():
                    page = re.sub(r"^/api/jobs/.+", "/api/jobs/{id}", event.path)
                    found["http", "to the hub", f"{event.method} {page}"].add(name)
    return {key: names for key, names in found.items() if key not in NONSENSE}


def told() -> dict[Key, list[str]]:
    """The table of messages in the README."""
    rows = re.findall(r"^\| (\w+) \| (to the hub|from the hub) \| `([^`]+)` \| (.+) \|$", README, re.MULTILINE)
    return {(role, way, type_): names.split(", ") for role, way, type_, names in rows}


def test_the_table_holds_every_recorded_message_and_no_other() -> None:
    assert set(told()) == set(recorded())


@pytest.mark.parametrize("key", sorted(recorded()))
def test_each_recording_named_holds_the_message(key: Key) -> None:
    assert set(told()[key]) <= recorded()[key]


def test_every_message_a_speaker_may_send_is_covered() -> None:
    rows = set(told())
    spoken = {("client", "to the hub", type_) for type_ in (*clients.HANDLERS, *clients.ABOUT_A_JOB)}
    spoken |= {("worker", "to the hub", type_) for type_ in workers.HANDLERS}
    spoken |= {("monitor", "to the hub", type_) for type_ in ("subscribe", "get_system_status", "stay_alive")}
    assert spoken <= rows


def test_every_fault_is_told_by_its_number_with_what_it_shows_and_what_is_so_without_it() -> None:
    rows = re.findall(r"^\| (\d) \| `([a-z-]+)` \| [^|]{20,} \| [^|]{20,} \|$", README, re.MULTILINE)
    assert rows == [(str(number), fault.value) for number, fault in enumerate(Fault, 1)]
