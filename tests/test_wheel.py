"""The wheel has all that the tree has, and works where only it and what it asks for are installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("new_stack", "legacy_hub_sim", "harness", "reports", "scenarios", "loadtests", "hubgate")

pytestmark = [pytest.mark.xdist_group("wheel"), pytest.mark.timeout(400)]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([*command], cwd=cwd, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as pip builds it, of a copy, so that nothing is left in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(
        *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"),
        *("--wheel-dir", folder, source),
        cwd=folder,
    )
    (built,) = folder.glob("hubgate-*.whl")
    return built


@pytest.fixture(scope="module")
def stack_only(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the wheel and what `pip install hubgate` brings, and no more."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=folder)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    wanted, had = [*PROJECT["dependencies"]], set[str]()
    while wanted:
        requirement = Requirement(wanted.pop())
        name = canonicalize_name(requirement.name)
        if name in had or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        had.add(name)
        found = distribution(name)
        wanted += found.requires or ()
        for top in {Path(str(file)).parts[0] for file in found.files or () if ".." not in str(file)} - {"__pycache__"}:
            (site_packages / top).symlink_to(Path(str(found.locate_file(top))))
    return python


def test_the_wheel_has_every_file_of_the_tree(wheel: Path) -> None:
    had = set(zipfile.ZipFile(wheel).namelist())
    files = (file for name in PACKAGES for file in (ROOT / name).rglob("*") if file.is_file())
    missing = {str(file.relative_to(ROOT)) for file in files if file.suffix not in {".pyc", ".md"}} - had
    assert missing == set()


def test_its_names_in_site_packages_are_those_that_the_docs_give_a_reason_for(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    told = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "packaging.md").read_text(), re.MULTILINE)
    assert {name for name in tops if not name.endswith(".dist-info")} == set(told)


def test_the_stack_alone_is_imported_and_called(stack_only: Path, tmp_path: Path) -> None:
    hubgate = stack_only.with_name("hubgate")
    names = "import hubgate; print(hubgate.__file__, *(getattr(hubgate, name) for name in hubgate.__all__))"
    assert str(stack_only.parents[1]) in run(stack_only, "-c", names, cwd=tmp_path)
    assert "Commands:" in run(hubgate, "--help", cwd=tmp_path)
    for command in ("api", "worker", "hub"):
        assert "usage: " in run(hubgate, command, "--help", cwd=tmp_path).lower()


def test_what_needs_the_harness_says_how_to_get_it(stack_only: Path, tmp_path: Path) -> None:
    asked = [stack_only.with_name("hubgate"), "gate"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "pip install 'hubgate[gate]'" in done.stderr
    assert "Traceback" not in done.stderr
