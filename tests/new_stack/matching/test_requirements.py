"""Requirements and capabilities are refused with the field named, and jobs that match alike share a signature."""

from __future__ import annotations

from typing import Any

import pytest

from new_stack.matching import (
    CapabilitiesError,
    Reason,
    RequirementsError,
    describe,
    read_capabilities,
    read_requirements,
    signature,
)
from new_stack.matching.wording import _SENTENCES


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"hardware": {"ram_gb": "much"}}, "requirements.hardware.ram_gb"),
        ({"hardware": {"ram_gb": -1.0}}, "requirements.hardware.ram_gb"),
        ({"hardware": {"wheels": 4}}, "requirements.hardware"),
        ({"isolation": "total"}, "requirements.isolation"),
        ({"models": ["m"] * 65}, "requirements.models"),
        ({"exclude": {"region": [1]}}, "requirements.exclude.region[0]"),
        ([], "requirements"),
        ({"colour": "red"}, "requirements"),
    ],
)
def test_what_no_rule_can_work_with_is_refused_with_its_field(raw: Any, field: str) -> None:
    with pytest.raises(RequirementsError) as refused:
        read_requirements(raw)
    assert refused.value.field == field


def test_capabilities_are_refused_with_their_field() -> None:
    with pytest.raises(CapabilitiesError, match=r"capabilities\.hardware\.ram_gb"):
        read_capabilities({"hardware": {"ram_gb": "much"}})


def test_jobs_that_match_alike_share_a_signature() -> None:
    one = read_requirements({"models": ["a"], "hardware": {"ram_gb": 8}})
    same = read_requirements({"hardware": {"ram_gb": 8.0}, "models": ["a"]})
    assert signature("draw", "acme", one) == signature("draw", "acme", same)
    others = [
        signature("draw", "other", one),
        signature("paint", "acme", one),
        signature("draw", "acme", read_requirements({"models": ["b"]})),
        signature("draw", None, None),
    ]
    assert len({signature("draw", "acme", one), *others}) == 5
    assert signature("draw", None, None) == signature("draw", None, read_requirements({})) == "draw"
    assert signature("draw", "acme", None) == 'draw\n{"customer":"acme"}'


def test_a_signature_is_bounded() -> None:
    with pytest.raises(RequirementsError) as refused:
        signature("draw", None, read_requirements({"models": ["m" * 200] * 60}))
    assert refused.value.field == "requirements"


def test_each_rule_has_its_sentence() -> None:
    for rule in _SENTENCES:
        assert describe(Reason(rule, "x"))
