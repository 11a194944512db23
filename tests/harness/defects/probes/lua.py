"""Print the functions library."""

from __future__ import annotations

import sys

from new_stack.queue import function_caller as library

sys.stdout.write(library.source())
