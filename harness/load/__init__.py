"""Load on a hub or a stack: Locust users, open-model plans, exact figures, a fleet of workers, a judged result.

gevent and Locust live in the processes that `run` starts; a program that calls it is not patched by them. In turn,
what is named here is loaded when it is first used, so that a locustfile gets the users without the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from harness.load.comparison import Comparison, compare
    from harness.load.plan import Plan, Shape
    from harness.load.runner import LoadFailed, LoadResult, run
    from harness.load.saturation import Saturation, find_saturation
    from harness.load.spec import Kills, LoadSpec, Mix, Side
    from harness.load.verdict import Demands

__all__ = [
    "Comparison",
    "Demands",
    "Kills",
    "LoadFailed",
    "LoadResult",
    "LoadSpec",
    "Mix",
    "Plan",
    "Saturation",
    "Shape",
    "Side",
    "compare",
    "find_saturation",
    "run",
]

_HOMES: Final = {
    "comparison": ("Comparison", "compare"),
    "plan": ("Plan", "Shape"),
    "runner": ("LoadFailed", "LoadResult", "run"),
    "saturation": ("Saturation", "find_saturation"),
    "spec": ("Kills", "LoadSpec", "Mix", "Side"),
    "verdict": ("Demands",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"harness.load.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
