"""Recordings with something changed in them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.cassettes import Event, load
from harness.parity import Finding

FOLDER = Path(__file__).parents[3] / "scenarios" / "cassettes"


NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


CASSETTES = {name: load(FOLDER / f"{name}.jsonl") for name in NAMES}


def edited(name: str, edit: Callable[[list[dict[str, Any]]], None], tmp_path: Path) -> tuple[Event, ...]:
    """A cassette edited by hand, as lines."""
    header, *lines = (FOLDER / f"{name}.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    edit(events)
    path = tmp_path / "edited.jsonl"
    path.write_text("\n".join([header, *map(json.dumps, events)]))
    return load(path).events


def place_of(events: list[dict[str, Any]], actor: str, word: str, nth: int = 0) -> int:
    places = [
        place
        for place, event in enumerate(events)
        if event["actor"] == actor and event["event"] == "receive" and event["message"]["type"] == word
    ]
    return places[nth]


def summary(findings: list[Finding]) -> list[tuple[str, str, str, str]]:
    return [(finding.kind.value, finding.actor, finding.message_type, finding.field) for finding in findings]
