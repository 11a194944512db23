"""The glossary says where each term lives, the architecture which way things take, and the site has every page."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.pages import command_of

ROOT = Path(__file__).parent.parent
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (`[^|]+`) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
TERMS = [term for term, _, _ in ROWS]


def test_the_glossary_has_terms_each_once() -> None:
    assert len(TERMS) > 50
    assert len(TERMS) == len(set(TERMS))


@pytest.mark.parametrize(("term", "meaning", "files"), ROWS, ids=TERMS)
def test_a_term_is_told_in_one_sentence_and_lives_where_it_says(term: str, meaning: str, files: str) -> None:
    assert meaning.endswith(".")
    assert ". " not in meaning, f"{term} is told in more than one sentence"
    for file in re.findall(r"`([^`]+)`", files):
        assert (ROOT / file).is_file(), f"{term}: there is no {file}"


NAMED = re.findall(
    r"`((?:new_stack|harness|reports|loadtests)/[\w/]+\.(?:py|lua))`", (ROOT / "docs/architecture.md").read_text()
)


def test_the_architecture_names_the_ways() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize("file", sorted(set(NAMED)))
def test_a_module_that_the_architecture_names_exists(file: str) -> None:
    assert (ROOT / file).is_file()


def test_every_page_is_in_the_sites_navigation() -> None:
    in_site = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= in_site


ERRORS = re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \|$", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)
SOURCES = "\n".join(
    file.read_text()
    for folder in ("hubgate", "harness", "new_stack")
    for pattern in ("*.py", "*.lua")
    for file in (ROOT / folder).rglob(pattern)
)


@pytest.mark.parametrize("text", [each for each in ERRORS if each not in {"text", "---"}])
def test_a_text_that_troubleshooting_explains_is_one_that_users_see(text: str) -> None:
    for piece in text.replace("`", "").split("…"):
        assert piece.strip() in SOURCES + (ROOT / "Makefile").read_text(), piece


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TYPED = [
    (page.relative_to(ROOT), line.removeprefix("timeout --signal INT 3600 ").partition(" || ")[0])
    for page in PAGES
    for block in re.findall(r"```(?:sh|text)\n(.*?)```", page.read_text(), re.DOTALL)
    for line in re.sub(r"^\$ ", "", block, flags=re.MULTILINE).splitlines()
    if re.match(r"(?:timeout \S+ \S+ \d+ )?hubgate ", line)
]
IN_A_SENTENCE = {text for page in PAGES for text in re.findall(r"`(hubgate [a-z][^`]*)`", page.read_text())}


@pytest.mark.parametrize(("page", "line"), TYPED)
def test_a_command_line_is_accepted(page: Path, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("kept", "out/before", "out/after", "out/latest", "shadow"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "today.jsonl").touch()
    shutil.copy(ROOT / "tests/foreign_stack/protocol.toml", tmp_path / "mine.toml")
    command, words = command_of(line)
    command.make_context(command.name, words)


@pytest.mark.parametrize("text", sorted(IN_A_SENTENCE))
def test_a_command_in_a_sentence_is_one_with_these_options(text: str) -> None:
    command, words = command_of(text)
    known = {name for one in command.params for name in one.opts} | {"--help"}
    if command.name not in {"api", "worker", "hub"}:
        assert {word.partition("=")[0].rstrip("…") for word in words if word.startswith("--")} <= known
