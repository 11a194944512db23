"""Write docs/run-schema.json again after the model has changed: `python -m harness.results.schema`."""

from __future__ import annotations

import json
from pathlib import Path

from harness.results.storage import json_schema

if __name__ == "__main__":
    target = Path(__file__).parents[2] / "docs" / "run-schema.json"
    target.write_text(json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n")
