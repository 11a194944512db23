"""docs/scenarios.md says what is so."""

import datetime as dt
import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from harness.cassettes import Event, kind_of, load
from harness.parity.deviations import Deviations
from hubgate.cli import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scenarios.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_the_cassette_on_the_page_is_whole(tmp_path: Path) -> None:
    (tmp_path / "page.jsonl").write_text(block("jsonl"))
    assert load(tmp_path / "page.jsonl").name == "accepted"


def test_the_deviation_on_the_page_is_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "page.toml").write_text(block("toml"))
    entry = Deviations.load(tmp_path / "page.toml").entries[0]
    assert entry.expires > dt.date(2026, 11, 24)


def test_the_table_of_events_is_complete() -> None:
    table = PAGE[PAGE.index("| event |") : PAGE.index("A string over")]
    words = set(re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE))
    told = {word for cell in words for word in re.findall(r"`(\w+)`", cell)}
    assert told == {str(kind.__struct_config__.tag) for kind in Event.__args__}
    assert kind_of is not None


def test_every_command_on_the_page_is_understood() -> None:
    commands = [shlex.split(line) for line in re.findall(r"^    (hubgate .*)$", PAGE, re.MULTILINE)]
    assert {words[1] for words in commands} == {"record", "replay", "parity"}
    for words in commands:
        shown = CliRunner().invoke(cli, [words[1], "--help"])
        assert shown.exit_code == 0, shown.output
        for option in (word for word in words if word.startswith("--")):
            assert option in shown.output
