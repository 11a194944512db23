from __future__ import annotations

import pytest

from reports.readme import PAGE, README, detections, figures, filled, verdict
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


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="figures"):
        filled("nothing", "figures", "new")


def test_both_pages_have_their_markers() -> None:
    for marker in ("figures", "selftest", "power"):
        filled(PAGE.read_text(), marker, "new")
    filled(README.read_text(), "verdict", "new")


def test_the_gist_of_a_run_says_why_it_does_not_pass() -> None:
    run = samples.fails()
    told = verdict(run)
    assert f"**{run.outcome}**" in told
    assert all(reason in told for reason in run.reasons)
