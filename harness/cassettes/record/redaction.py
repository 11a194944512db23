"""What must never reach a cassette: tokens, credentials, and whatever the user names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from harness.cassettes.events import BLANKED
from harness.errors import CouldNotRun

SECRET_PARAMETERS: Final = frozenset({"token", "access_token", "api_key", "apikey", "key", "password", "secret"})
SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})
SECRET_FIELDS: Final = frozenset(
    {"token", "auth_token", "access_token", "refresh_token", "authorization", "api_key", "apikey", "password", "secret"}
)
SHORTEST_ECHO: Final = 4
"""A shorter secret is not looked for in other texts: it would be found everywhere."""

_STEP: Final = re.compile(r"\.\.(?P<deep>[\w-]+)|\.(?P<name>[\w-]+|\*)|\[(?P<index>\d+|\*)\]")
Step = tuple[str, str]


class BadRule(CouldNotRun):
    """A rule that is no JSON path."""


class Redaction:
    """Blanks secrets. A token that was seen in a query or a header is blanked wherever else it turns up."""

    def __init__(
        self,
        *,
        paths: Iterable[str] = (),
        headers: Iterable[str] = (),
        parameters: Iterable[str] = (),
        fields: Iterable[str] = (),
    ) -> None:
        """`paths` are JSON paths such as `$.payload.key`, `$.items[*].key` or `$..key`; the others are names, added
        to those that are always blanked. Raises BadRule.
        """
        self._paths = [parsed(path) for path in paths]
        self._headers = SECRET_HEADERS | {name.lower() for name in headers}
        self._parameters = SECRET_PARAMETERS | {name.lower() for name in parameters}
        self._fields = SECRET_FIELDS | {name.lower() for name in fields}
        self._echoes: set[str] = set()

    def path(self, path_and_query: str) -> str:
        """A request's path with the secrets of its query blanked."""
        path, mark, query = path_and_query.partition("?")
        return self.text(path) + mark + "&".join(self._parameter(part) for part in query.split("&"))

    def _parameter(self, part: str) -> str:
        name, equals, value = part.partition("=")
        if name.lower() not in self._parameters or not value:
            return self.text(part)
        self._remember(unquote(value))
        return f"{name}{equals}{BLANKED}"

    def kept_headers(self, headers: Mapping[str, str], keep: Iterable[str]) -> dict[str, str]:
        """Those headers that are to be kept, secret ones blanked."""
        found = {}
        for name in keep:
            if (value := headers.get(name)) is not None:
                if name.lower() in self._headers:
                    self._remember(value.rpartition(" ")[2])
                    value = BLANKED
                found[name] = self.text(value)
        return found

    def json(self, value: Any) -> Any:
        """A JSON value with its secrets blanked."""
        for path in self._paths:
            value = _blanked_at(value, path)
        return self._by_name(value)

    def _by_name(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: BLANKED if key.lower() in self._fields and isinstance(part, str) else self._by_name(part)
                for key, part in value.items()
            }
        if isinstance(value, list):
            return [self._by_name(part) for part in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """A text in which no token stands that was seen before."""
        for echo in self._echoes:
            text = text.replace(echo, BLANKED)
        return text

    def _remember(self, secret: str) -> None:
        if len(secret) >= SHORTEST_ECHO:
            self._echoes.add(secret)


def parsed(path: str) -> list[Step]:
    """The steps of a JSON path: names, indices, `*` and `..name`. Raises BadRule."""
    rest = path.removeprefix("$")
    steps: list[Step] = []
    while rest:
        found = _STEP.match(rest)
        if found is None:
            raise BadRule(f"{path} is no JSON path that is understood here: $.name, $.list[0], $.list[*].name, $..name")
        steps += [(kind, text) for kind, text in found.groupdict().items() if text is not None]
        rest = rest[found.end() :]
    if not steps:
        raise BadRule(f"{path} names nothing: a JSON path such as $.payload.key is needed")
    return steps


def _blanked_at(value: Any, steps: list[Step]) -> Any:
    if not steps:
        return BLANKED
    (kind, name), rest = steps[0], steps[1:]
    if isinstance(value, dict):
        if kind == "deep":
            inner = {key: _blanked_at(part, steps) for key, part in value.items()}
            return inner | {key: _blanked_at(inner[key], rest) for key in inner if key == name}
        hit = kind == "name"
        return {key: _blanked_at(part, rest) if hit and name in {key, "*"} else part for key, part in value.items()}
    if isinstance(value, list):
        if kind == "deep":
            return [_blanked_at(part, steps) for part in value]
        hit = kind == "index"
        return [
            _blanked_at(part, rest) if hit and name in {str(place), "*"} else part for place, part in enumerate(value)
        ]
    return value
