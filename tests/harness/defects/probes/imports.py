"""Import modules of the stack that stands first on the path: `imports.py OVERLAY MODULE…`."""

from __future__ import annotations

import importlib
import sys

import new_stack

assert new_stack.__path__[0].startswith(sys.argv[1]), new_stack.__path__
for module in sys.argv[2:]:
    importlib.import_module(module)
