"""The JSON Schema of run.json; `python -m harness.results.schema` writes it to docs/run-schema.json."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

import harness.results as model
from harness.results.run import SCHEMA, Run

TARGET: Final = Path(__file__).parents[2] / "docs" / "run-schema.json"


def json_schema() -> dict[str, Any]:
    """The schema, with what the model's docstrings say of each type and field."""
    made: dict[str, Any] = json.loads(msgspec.json.encode(msgspec.json.schema(Run)))
    for name, definition in made["$defs"].items():
        ours = [each for each in getattr(model, name).__mro__ if each.__module__.startswith(model.__name__)]
        for field, words in (pair for each in ours for pair in _field_words(each).items()):
            if field in definition.get("properties", {}):
                definition["properties"][field]["description"] = words
    heading = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A run of hubgate",
        "description": f"Schema {SCHEMA}. Fields may be added under the same number; readers pass over what they do "
        "not know. A field that goes or changes meaning raises the number.",
    }
    return heading | made


def _field_words(described: type) -> dict[str, str]:
    """The docstring below each field, by the field's name."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(described))).body
    statements = body.body if isinstance(body, ast.ClassDef) else []
    return {
        field.target.id: " ".join(words.value.value.split())
        for field, words in pairwise(statements)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(words, ast.Expr)
        and isinstance(words.value, ast.Constant)
        and isinstance(words.value.value, str)
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n")
