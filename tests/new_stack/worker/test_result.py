"""What a connector may answer: what JSON has, and nothing that would silently become something else."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import msgspec
import pytest

from new_stack.worker.connectors.result import encode_result


class Shape(msgspec.Struct):
    value: Any = None


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"a": [value]}, Shape])
def test_numbers_that_json_does_not_have_are_refused(number: float, wrap: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_result(wrap(number))


@pytest.mark.parametrize("value", [b"x", bytearray(b"x"), memoryview(b"x"), {"a": b"x"}, Shape(b"x")])
def test_bytes_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="is not text"):
        encode_result(value)


@pytest.mark.parametrize(
    "value",
    [None, {"a": [1, 2.5, "ü", True, None]}, {1: 2}, Shape({"a": 1}), {"at": dt.date(2026, 1, 2)}, [(1,), {2}]],
)
def test_all_else_is_encoded_as_the_stack_encodes_everything(value: Any) -> None:
    assert encode_result(value) == msgspec.json.encode(value)
