"""What a job's workers do: the script that its payload carries, which the hub's workers and the stack's play alike."""

from __future__ import annotations

from typing import Any

Payload = dict[str, Any]


def script(*steps: Any, result: Any = None) -> Payload:
    """A payload whose worker does this, step by step. A number reports that much progress."""
    plain = [step if isinstance(step, dict) else {"progress": step} for step in steps]
    return {"simulate": plain + ([{"result": result}] if result is not None else [])}


def wait(ms: float) -> dict[str, Any]:
    """Work for a while without a word."""
    return {"sleep_ms": ms}


def fail(error: str, *, attempts: int | None = None) -> dict[str, Any]:
    """Fail this attempt; with `attempts`, only the first so many."""
    return {"fail": error} | ({} if attempts is None else {"attempts": attempts})
