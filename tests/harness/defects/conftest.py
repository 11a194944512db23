"""An option for the long way through all defects."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-defects", action="store_true", help="try every seeded defect on a whole run (minutes)")
