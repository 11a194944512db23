"""The live page: whole in itself, and fed by what the API serves."""

from __future__ import annotations

import re

from .conftest import Api, StartApi


async def test_the_page_is_self_contained(start_api: StartApi) -> None:
    api = await start_api(token="s3cret")
    async with api.session.get(f"{api.base}/dashboard") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        page = await response.text()
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert re.findall(r"@import|url\(", style) == []
    assert re.findall(r"""(?:src|href)=["'](?!data:)([^"']+)""", page) == []
    assert "/*style*/" not in page
    assert "/*script*/" not in page


async def test_what_the_page_asks_for_is_there(api: Api) -> None:
    async with api.session.get(f"{api.base}/dashboard") as response:
        page = await response.text()
    for path in ("/api/jobs", "/api/stats", "/api/workers"):
        assert f'"{path}"' in page
        await api.get(path)
    job_id = await api.submit()
    async with api.session.get(f"{api.base}/api/events?since=0") as stream:
        text = b""
        while b"submitted" not in text:
            text += await stream.content.readany()
    assert job_id.encode() in text
    ids = set(re.findall(r'\$\("([a-z-]+)"\)', page))
    assert ids <= set(re.findall(r'id="([a-z-]+)"', page))
