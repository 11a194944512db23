"""What a child process inherits from the environment of the harness: enough to run, nothing that steers it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
"""A `REDIS_URL` or a token in the user's shell must not reach a process that the harness judges."""

PROJECT_ROOT = Path(__file__).parents[2]
"""Where `new_stack` and `legacy_hub_sim` stand beside this harness."""


def child_environment(outer: Mapping[str, str] | None = None) -> dict[str, str]:
    """The part of `outer` (default: the harness's own environment) that children get."""
    source = os.environ if outer is None else outer
    return {name: source[name] for name in INHERITED if name in source}


def python_path(overlay: Path | None = None) -> str:
    """PYTHONPATH of a child: the overlay's modules first (a seeded defect), then the harness's own tree."""
    return os.pathsep.join(str(part) for part in (overlay, PROJECT_ROOT) if part is not None)
