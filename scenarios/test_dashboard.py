"""The dashboard's page has all that it loads: each file under its name, of its type, sent once while it is the same."""

from __future__ import annotations

import posixpath
import re
from typing import Final

import httpx
import pytest

from harness.testing import Server

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.fast]

LOADED: Final = re.compile(r'(?:href|src)="(/dashboard/[^"]+)"')
IMPORTED: Final = re.compile(r'(?:from|import\()\s*"(\.{1,2}/[^"]+)"')
TYPES: Final = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml; charset=utf-8",
}
VIEWS: Final = ("", "/", "/jobs", "/jobs/one/two", "/workers")


async def test_the_page_has_all_that_it_loads(stack: Server) -> None:
    async with stack.http() as http:
        page = await http.get("/dashboard")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        for view in VIEWS:
            again = await http.get(f"/dashboard{view}", follow_redirects=True)
            assert (again.status_code, again.text) == (httpx.codes.OK, page.text), view
        left, seen = LOADED.findall(page.text), set[str]()
        while left:
            path = left.pop()
            if path in seen:
                continue
            seen.add(path)
            file = await http.get(path)
            assert (file.status_code, file.headers["content-type"]) == (200, TYPES[path.rpartition(".")[2]]), path
            same = await http.get(path, headers={"If-None-Match": file.headers["etag"]})
            assert (same.status_code, same.content) == (httpx.codes.NOT_MODIFIED, b""), path
            assert file.headers["content-security-policy"] == page.headers["content-security-policy"]
            if path.endswith(".js"):
                left += [
                    posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
                    for name in IMPORTED.findall(file.text)
                ]
        assert len(seen) > 20, "the page has lost its parts"
        other = await http.get("/dashboard/static/none.js")
        assert (other.status_code, other.headers["content-type"]) == (404, "application/problem+json")
