"""The recordings of the real hub, for the hub's own tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.cassettes import Cassette, contracted, load
from harness.parity.normalize import normalized_frame

FOLDERS = (Path(__file__).parents[2] / "scenarios" / "cassettes", Path(__file__).parent / "recordings")
"""The second has recordings of real workers, which the stack does not serve alike yet."""
FILES = {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.jsonl"))}
NAMES = sorted(FILES)
TOKENS = {"auth-token": "s3cret"}
"""The token that the recorded hub was started with."""


def cassette(name: str) -> Cassette:
    return load(FILES[name])


def comparable(message: Any) -> str:
    """A message as text that differs only where the difference means something."""
    return json.dumps(normalized_frame(contracted(message)), sort_keys=True, indent=1)
