from __future__ import annotations

import pytest

from reports.readme import README, detections, figures, filled
from tests.reports import samples


def test_every_criterion_of_a_run_has_its_figures_in_the_table() -> None:
    run = samples.passes()
    table = figures(run)
    assert all(criterion.title in table for criterion in run.criteria)
    assert all(measured.what.split("<")[0] in table for c in run.criteria for measured in c.measurements)
    assert str(run.about.machine.cores) in table


def test_every_defect_stands_with_who_caught_it() -> None:
    run = samples.full()
    table = detections(run)
    assert run.defects
    assert table.count("\n| ") >= len(run.defects)


def test_what_stood_between_the_markers_is_replaced_and_all_else_kept() -> None:
    text = "before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n"
    assert filled(text, "figures", "new") == "before\n<!-- figures -->\nnew\n<!-- /figures -->\nafter\n"
    assert filled(filled(text, "figures", "x"), "figures", "new") == filled(text, "figures", "new")


def test_a_readme_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="figures"):
        filled("nothing", "figures", "new")


def test_the_readme_has_the_markers() -> None:
    text = README.read_text()
    for marker in ("figures", "selftest", "power"):
        filled(text, marker, "new")
