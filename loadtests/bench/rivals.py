"""The other systems: a virtual environment of their own, and what could not be installed into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
REQUIREMENTS = FOLDER / "requirements.txt"
NAMES = ("saq", "streaq", "rq", "dramatiq", "arq", "bullmq")


def prepare(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The environment's interpreter, its packages installed as far as they can be; None where there is none."""
    python = folder / "bin" / "python"
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False)  # noqa: S603
        if made.returncode:
            return None
    if all(version(python, name) for name in names):
        return python
    if not _install(python, "-r", str(REQUIREMENTS)):
        for line in REQUIREMENTS.read_text().splitlines():
            if line and not line.startswith("#"):
                _install(python, line)
    return python


def _install(python: Path, *what: str) -> bool:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0  # noqa: S603


def version(python: Path, package: str) -> str:
    """The version of a package there; empty where it is not installed."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    return found.stdout.strip() if not found.returncode else ""


def processes_and_shape(name: str) -> tuple[int, str]:
    """How many worker processes a system's adapter wants, and how it says so, without importing the system."""
    source = (FOLDER / "adapters" / f"{name}.py").read_text()
    facts: dict[str, str] = {}
    for line in source.splitlines():
        key, equals, value = line.partition(" = ")
        if equals and key in {"SHAPE", "PROCESSES"}:
            facts[key] = value.strip('"')
    return int(facts["PROCESSES"]), facts["SHAPE"]
