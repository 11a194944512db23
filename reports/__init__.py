"""What a run found, as HTML, JUnit, JSON and Markdown, and as a table in a terminal. Nothing is measured here."""

from __future__ import annotations

from reports.terminal import print_run, terminal
from reports.writing import Written, write

__all__ = ["Written", "print_run", "terminal", "write"]
