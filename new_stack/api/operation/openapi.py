"""GET /openapi.json: the description of the API. tests/new_stack/api hold it against the routes and their answers."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from aiohttp import web


async def document(_request: web.Request) -> web.Response:
    """The document, read when first asked for."""
    return web.Response(body=_document(), content_type="application/json")


@cache
def _document() -> bytes:
    return files(__package__).joinpath("openapi.json").read_bytes()


class _Parameter(msgspec.Struct):
    name: str = ""
    place: str = msgspec.field(name="in", default="")
    ref: str = msgspec.field(name="$ref", default="")


class _Operation(msgspec.Struct):
    parameters: list[_Parameter] = []


class _Components(msgspec.Struct):
    parameters: dict[str, _Parameter]


class _Description(msgspec.Struct):
    paths: dict[str, dict[str, _Operation]]
    components: _Components


@cache
def query_names() -> dict[tuple[str, str], frozenset[str]]:
    """What a query may say, by method and path: the description is the one place that has it."""
    found = msgspec.json.decode(_document(), type=_Description)
    shared = found.components.parameters

    def names(operation: _Operation) -> frozenset[str]:
        all_of_it = (shared[one.ref.rpartition("/")[2]] if one.ref else one for one in operation.parameters)
        return frozenset(one.name for one in all_of_it if one.place == "query")

    return {(method.upper(), path): names(one) for path, item in found.paths.items() for method, one in item.items()}


ROUTES: Final = (("GET", "/openapi.json", document),)
