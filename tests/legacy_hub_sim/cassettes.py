"""The recordings of the real hub, for the hub's own tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.cassettes import Cassette, contracted, load
from harness.parity.normalize import normalized_frame

FOLDER = Path(__file__).parents[2] / "scenarios" / "cassettes"
NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
TOKENS = {"auth-token": "s3cret"}
"""The token that the recorded hub was started with."""


def cassette(name: str) -> Cassette:
    return load(FOLDER / f"{name}.jsonl")


def comparable(message: Any) -> str:
    """A message as text that differs only where the difference means something."""
    return json.dumps(normalized_frame(contracted(message)), sort_keys=True, indent=1)
