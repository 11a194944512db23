"""Tests that have to run in one process of pytest-xdist, with any version of pytest."""

from __future__ import annotations

import os

import pytest


def tell_group(item: pytest.Item) -> None:
    """Put an `xdist_group` behind the item's id, by which pytest-xdist knows it.

    Its version 3.8 writes that where pytest 9.2 does not read it any more: each process then builds what the tests of
    a group share. And it does so before a suite's own hook has told the groups.
    """
    group = "@" + "_".join(sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")}))
    if hasattr(item, "id") and group != "@" and not item.nodeid.endswith(group) and "PYTEST_XDIST_WORKER" in os.environ:
        item._id = item.id.parse(item.nodeid + group)  # noqa: SLF001 - pytest has no public way to change it
