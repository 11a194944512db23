from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

from harness.results import SCHEMA, Run, UnreadableRun, decode, load, save
from harness.results.run import encode
from harness.results.schema import json_schema
from tests.reports.samples import SAMPLES

SCHEMA_FILE = Path(__file__).parents[3] / "docs" / "run-schema.json"


@pytest.fixture(params=SAMPLES)
def run(request: pytest.FixtureRequest) -> Run:
    made: Run = SAMPLES[request.param]()
    return made


def test_a_run_reads_back_as_it_was_saved(run: Run, tmp_path: Path) -> None:
    save(run, tmp_path / "new")
    assert load(tmp_path / "new") == run
    assert load(tmp_path / "new" / "run.json") == run


def test_a_saved_run_fits_the_documented_schema(run: Run) -> None:
    jsonschema_rs.validate(json.loads(SCHEMA_FILE.read_text()), json.loads(encode(run)))


def test_the_documented_schema_is_the_models() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema(), "write it again: python -m harness.results.schema"


def test_the_documented_schema_refuses_a_run_without_a_verdict(run: Run) -> None:
    broken = json.loads(encode(run))
    del broken["verdict"]
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(json.loads(SCHEMA_FILE.read_text()), broken)


def test_half_a_surrogate_pair_in_a_sentence_does_not_cost_the_run(run: Run, tmp_path: Path) -> None:
    odd = msgspec.structs.replace(run, problems=("a \ud800 b",))
    assert load(save(odd, tmp_path)).problems == ("a ? b",)


def test_a_run_of_a_newer_hubgate_is_refused_with_a_way_out(run: Run) -> None:
    newer = json.loads(encode(run)) | {"schema": SCHEMA + 1, "verdict": {"of": "another shape"}}
    with pytest.raises(UnreadableRun, match=r"schema 3, and this hubgate reads up to 2: read it with a newer hubgate"):
        decode(json.dumps(newer).encode())


def test_a_field_that_was_added_later_under_the_same_schema_is_passed_over(run: Run) -> None:
    assert decode(json.dumps(json.loads(encode(run)) | {"weather": "fair"}).encode()) == run


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not a run of hubgate"),
        (b"\xff\x00", "is not a run of hubgate"),
        (b"[]", "is not a run of hubgate"),
        (b'{"schema": 0}', "never was"),
        (b'{"schema": 1, "verdict": "holds"}', "schema 1, whose verdicts have other names"),
        (b'{"schema": 2, "verdict": "perhaps"}', "does not fit schema 2"),
    ],
)
def test_what_is_no_run_is_refused_in_a_sentence(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableRun, match=said):
        decode(data)


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRun, match=r"run\.json cannot be read: No such file"):
        load(tmp_path)
