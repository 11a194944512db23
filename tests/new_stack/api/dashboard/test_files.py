"""The page's files: served by the API alone, under a policy that lets a browser load nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

import new_stack.api.dashboard

from ..conftest import Api, StartApi

STATIC = Path(new_stack.api.dashboard.__file__).parent / "static"
OURS = [file for file in sorted(STATIC.rglob("*.*")) if "vendor" not in file.parts]
FROM_NPM = {
    "vendor/uPlot.iife.min.js": "uplot/dist/uPlot.iife.min.js",
    "vendor/uPlot.min.css": "uplot/dist/uPlot.min.css",
    "vendor/uPlot-LICENSE.txt": "uplot/LICENSE",
    "vendor/lit-html/LICENSE.txt": "lit-html/LICENSE",
    "vendor/lit-html/lit-html.js": "lit-html/lit-html.js",
    "vendor/lit-html/directive.js": "lit-html/directive.js",
    "vendor/lit-html/directive-helpers.js": "lit-html/directive-helpers.js",
    "vendor/lit-html/directives/repeat.js": "lit-html/directives/repeat.js",
}


def linked(name: str, text: str) -> Iterator[str]:
    """The addresses that a file makes a browser load, from where it lies."""
    base = f"/dashboard/static/{name}"
    patterns = (
        [r'(?:href|src)="([^"${]+)"'] if name.endswith(".html") else [r'\bfrom\s*"([^"]+)"', r'import\s*"([^"]+)"']
    )
    for pattern in patterns:
        for found in re.findall(pattern, text):
            yield urljoin(base, found)


async def test_every_view_is_the_page_and_every_file_that_it_asks_for_is_there(start_api: StartApi) -> None:
    api = await start_api(token="s3cret")
    for path in ("/dashboard", "/dashboard/", "/dashboard/jobs", "/dashboard/jobs/a%2Fb"):
        async with api.session.get(f"{api.base}{path}", allow_redirects=False) as response:
            assert (response.status, response.content_type) == (200, "text/html")
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            todo, seen = list(linked("index.html", await response.text())), set[str]()
    while todo:
        path = todo.pop()
        if path in seen or not path.startswith("/dashboard/static/"):
            continue
        seen.add(path)
        async with api.session.get(f"{api.base}{path}") as response:
            assert response.status == 200, path
            assert response.content_type == {"js": "text/javascript", "css": "text/css"}.get(
                path.rpartition(".")[2], "image/svg+xml"
            )
            if path.endswith(".js"):
                todo += linked(path.removeprefix("/dashboard/static/"), await response.text())
    served = {path.removeprefix("/dashboard/static/") for path in seen}
    there = {str(file.relative_to(STATIC)) for file in STATIC.rglob("*.*") if file.suffix not in {".html", ".txt"}}
    assert served == there, "what no file asks for is not kept"


async def test_a_file_is_sent_again_only_once_it_has_changed(api: Api) -> None:
    async with api.session.get(f"{api.base}/dashboard/static/main.js") as response:
        tag = response.headers["ETag"]
        assert response.headers["Cache-Control"] == "no-cache"
    async with api.session.get(f"{api.base}/dashboard/static/main.js", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
        assert await response.read() == b""


async def test_there_are_no_other_files(api: Api) -> None:
    await api.get("/dashboard/static/nothing.js", 404)
    await api.get("/dashboard/static/..%2F__init__.py", 404)


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_a_file_of_ours_names_no_other_host_and_is_read_at_one_sitting(file: Path) -> None:
    text = file.read_text()
    hosts = {host for host in re.findall(r"https?://[^\s\"'`)]+", text) if host != "http://www.w3.org/2000/svg"}
    assert hosts == set()
    assert not re.search(r"@import|\burl\(|innerHTML|unsafeHTML|\beval\(", text)
    assert len(text.splitlines()) <= 400


@pytest.mark.parametrize(("ours", "theirs"), FROM_NPM.items(), ids=FROM_NPM)
def test_a_librarys_file_is_the_one_that_npm_has(npm: Path, ours: str, theirs: str) -> None:
    assert (STATIC / ours).read_bytes() == (npm / theirs).read_bytes()


def test_every_librarys_file_is_compared() -> None:
    assert {str(file.relative_to(STATIC)) for file in (STATIC / "vendor").rglob("*.*")} == set(FROM_NPM)
