"""The other systems: environments of their own, and what could not be installed into them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
REQUIREMENTS: Final = FOLDER / "requirements.txt"
NODE: Final = {"bullmq_node": ("bullmq", "ioredis")}
"""The adapters that are Node programs, and the packages of each, its own first."""

PYTHON: Final = ("saq", "streaq", "rq", "dramatiq", "arq", "taskiq", "bullmq")
NAMES: Final = (*PYTHON, *NODE)
OTHER_SHAPES: Final = {"dramatiq": (4, "4 processes of 10 threads"), "rq": (40, "40 processes of 1")}
"""Worker processes and how they are described, where they are not four of ten: 40 workers in all."""


def prepare(folder: Path, names: tuple[str, ...]) -> None:
    """Install what is missing, as far as it can be."""
    python = _python(folder)
    wanted = [name for name in names if name in PYTHON]
    if wanted and not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False)  # noqa: S603
    if not all(version(folder, name) for name in wanted) and not _install(python, "-r", str(REQUIREMENTS)):
        for line in REQUIREMENTS.read_text().splitlines():
            if line and not line.startswith("#"):
                _install(python, line)
    for name in set(names) & set(NODE):
        if not version(folder, name) and (npm := shutil.which("npm")):
            (folder / "node").mkdir(parents=True, exist_ok=True)
            command = [npm, "install", "--silent", "--no-audit", "--no-fund", *NODE[name]]
            subprocess.run(command, cwd=folder / "node", check=False)  # noqa: S603


def shape_of(name: str) -> tuple[int, str]:
    """How many worker processes a system gets, and how that is told."""
    return OTHER_SHAPES.get(name, (4, "4 processes of 10"))


def command(folder: Path, name: str) -> tuple[str, ...]:
    """What starts a role of a system; the role and its arguments follow."""
    if name in NODE:
        return (shutil.which("node") or "node", str(FOLDER / "adapters" / f"{name}.cjs"), str(folder / "node"))
    python = _python(folder) if name in PYTHON else Path(sys.executable)
    return (str(python), "-m", "loadtests.bench.roles", name)


def version(folder: Path, name: str) -> str:
    """The version of a system's package; empty where it is not installed."""
    if name in NODE:
        package = folder / "node" / "node_modules" / NODE[name][0] / "package.json"
        return f"{json.loads(package.read_text())['version']} (Node)" if package.exists() else ""
    python = _python(folder) if name in PYTHON else Path(sys.executable)
    if not python.exists():
        return ""
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    return found.stdout.strip() if not found.returncode else ""


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _install(python: Path, *what: str) -> bool:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0  # noqa: S603
