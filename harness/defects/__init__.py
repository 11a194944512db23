"""Seeded defects: copies of the stack that are wrong in one way, to show that the gate can say no.

    overlay = defects.apply(defects.named("no-reaper"), Path(folder))
    services.api(redis_url=…, overlay=overlay)

A defect in Lua needs a Redis of its own, and whoever else connects to it must not install the sound library.
"""

from __future__ import annotations

from harness.defects.defect import Defect, DefectDoesNotApply, Replacement, apply, catalogue
from harness.errors import CouldNotRun


def all() -> tuple[Defect, ...]:  # noqa: A001 - read as `defects.all()`
    """Every seeded defect."""
    return catalogue()


def named(name: str) -> Defect:
    """One of them. Raises CouldNotRun, which names them all."""
    for defect in catalogue():
        if defect.name == name:
            return defect
    raise CouldNotRun(f"there is no defect {name!r}; there are: {', '.join(defect.name for defect in catalogue())}")


__all__ = ["Defect", "DefectDoesNotApply", "Replacement", "all", "apply", "named"]
