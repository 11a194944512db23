"""Import modules of a copy of the stack, in a process that has not imported the stack."""

from __future__ import annotations

import importlib
import sys


def import_all(overlay: str, modules: list[str]) -> None:
    sys.dont_write_bytecode = True
    sys.path.insert(0, overlay)
    import new_stack  # noqa: PLC0415 - the stack of the path above

    assert new_stack.__path__[0].startswith(overlay), new_stack.__path__
    for module in modules:
        importlib.import_module(module)
