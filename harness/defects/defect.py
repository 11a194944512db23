"""What a seeded defect is, and how a copy of the stack is made that has it."""

from __future__ import annotations

import compileall
import functools
import importlib.util
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import CouldNotRun

PACKAGE: Final = "new_stack"
CATALOGUE: Final = Path(__file__).parent / "catalogue"
FILES: Final = (
    *("legacy", "words", "monitors", "order", "retirement", "routing", "attempts", "events", "guards", "programs"),
)


class DefectDoesNotApply(CouldNotRun):
    """The stack's text is not the one that the defect was written against."""


class Replacement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In one file of the stack (its path inside the package), one text in place of another that stands there once."""

    file: str
    old: str
    new: str


class Defect(msgspec.Struct, frozen=True, kw_only=True):
    """One realistic mistake of such a migration."""

    name: str
    mistake: str
    """What was done wrong, in a sentence."""
    caught_by: tuple[str, ...]
    """The criteria that should catch it: one of them has to."""
    replacements: tuple[Replacement, ...]
    findings: tuple[str, ...] = ()
    """What a criterion says of it: a scenario that fails, a field or a message that differs."""
    checks: tuple[str, ...] = ()
    """The checkers of a history that see it, where one does (see `harness.history.CHECKERS`)."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """What a criterion has to say to have caught it rightly: one of these."""
        return self.findings + self.checks


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A defect as the catalogue has it, under its name."""

    mistake: str
    caught_by: tuple[str, ...]
    replacements: tuple[Replacement, ...]
    findings: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


@functools.cache
def catalogue() -> tuple[Defect, ...]:
    """The defects of `catalogue/*.toml`. Each is a mistake that such a migration has made somewhere."""
    return tuple(
        Defect(name=name, **msgspec.structs.asdict(entry))
        for file in FILES
        for name, entry in msgspec.toml.decode(
            (CATALOGUE / f"{file}.toml").read_bytes(), type=dict[str, _Entry]
        ).items()
    )


def source_of_stack() -> Path:
    """Where the stack's package lies, found without importing it. Raises CouldNotRun."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise CouldNotRun(f"the package {PACKAGE} is not installed, so no defect can be seeded into it")
    return Path(next(iter(spec.submodule_search_locations)))


def apply(defect: Defect, into: Path, *, source: Path | None = None) -> Path:
    """Copy the stack into a folder, with the defect; answers the folder to put first on `PYTHONPATH` (`overlay`).

    Raises DefectDoesNotApply where a text to replace does not stand in its file exactly once, and leaves nothing behind
    then.
    """
    source = source or source_of_stack()
    return copy_with({name: _changed(defect, source, name) for name in _files(defect)}, into, source)


def copy_with(changed: Mapping[str, str], into: Path, source: Path) -> Path:
    """Copy the stack into a folder with other texts of some files; answers the folder.

    It is compiled here, once: the processes that are started with it keep nothing of what they compile.
    """
    target = into / PACKAGE
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in changed.items():
        (target / name).write_text(text, encoding="utf-8")
    compileall.compile_dir(target, quiet=2, force=True)
    return into


def _files(defect: Defect) -> list[str]:
    return list(dict.fromkeys(replacement.file for replacement in defect.replacements))


def _changed(defect: Defect, source: Path, name: str) -> str:
    file = source / name
    if not file.is_file():
        raise DefectDoesNotApply(f"defect {defect.name}: the stack has no file {file}")
    text = file.read_text(encoding="utf-8")
    for replacement in (one for one in defect.replacements if one.file == name):
        times = text.count(replacement.old)
        if times != 1:
            shown = replacement.old.strip().partition("\n")[0]
            raise DefectDoesNotApply(
                f"defect {defect.name}: the text to replace, beginning with {shown!r}, stands {times} times in {file}, "
                "not once; the stack has changed, so the defect has to be written anew"
            )
        text = text.replace(replacement.old, replacement.new)
    return text
