"""`make docs` makes a site whose links lead somewhere, and that opens and searches from the disk without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hubgate
from hubgate.cli import COMMANDS
from tests.browser import PATH, Tab, browser

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.xdist_group("site"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    if PATH is None:
        pytest.skip("no chromium")
    with browser("file:") as opened:
        yield opened


def test_every_link_leads_to_a_page_and_a_place_of_it(site: Path) -> None:
    pages = {page: page.read_text() for page in site.rglob("*.html") if page.name != "404.html"}
    places = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in pages.items()}
    broken = []
    for page, text in pages.items():
        for target in re.findall(r'<a [^>]*href="([^"]*)"', text):
            path, _, place = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            if target.startswith(("http:", "https:")) or target == ".":
                continue
            if not there.exists() or (place and there in places and place not in places[there]):
                broken.append(f"{page.relative_to(site)} → {target}")
    assert broken == []


def test_the_reference_has_every_name_command_and_type(site: Path) -> None:
    python, cli = ((site / "reference" / f"{name}.html").read_text() for name in ("python", "cli"))
    assert [name for name in hubgate.__all__ if f'id="{name.lower()}"' not in python] == []
    assert [name for name in COMMANDS if f'id="hubgate-{name}"' not in cli] == []


def test_the_site_is_searched_from_the_disk_and_asks_no_network(site: Path, tab: Tab) -> None:
    tab.open((site / "index.html").as_uri() + "?q=lease")
    tab.wait("document.querySelectorAll('.md-search-result__item').length > 3")
    assert tab.complaints == []
