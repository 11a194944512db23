"""Import every module of the stack that stands first on the path."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import new_stack

assert new_stack.__path__[0].startswith(sys.argv[1]), new_stack.__path__
for module in pkgutil.walk_packages(new_stack.__path__, "new_stack."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
