"""What must never reach a cassette: tokens, credentials, and whatever the user names."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from harness.cassettes.events import BLANKED, Event, Open, Request
from harness.cassettes.strings import contracted
from harness.errors import WrongUsage

SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})
SHORTEST_ECHO: Final = 4
"""A shorter token is not looked for in other texts: it would be found everywhere."""
LEAST_SECRET_NUMBER: Final = 10_000
"""A smaller number under the name of a secret is a count."""
SHORTEST_GUESS: Final = 8
"""The same for what only looked like a secret; words are not looked for at all."""

_STEP: Final = re.compile(r"\.\.(?P<deep>[\w-]+)|\.(?P<name>[\w-]+|\*)|\[(?P<index>\d+|\*)\]")
PathStep = tuple[str, str]


class BadRule(WrongUsage):
    """A rule that is no JSON path."""


class Redaction:
    """Blanks secrets: by the names of fields and parameters, by what a text looks like, and by what the user names.

    A secret that was seen in one place is blanked wherever else it turns up. `blanked` counts what was, by place.
    """

    def __init__(
        self,
        *,
        paths: Iterable[str] = (),
        headers: Iterable[str] = (),
        parameters: Iterable[str] = (),
        fields: Iterable[str] = (),
        keep: Iterable[str] = (),
    ) -> None:
        """`paths` are JSON paths such as `$.payload.key`, `$.items[*].key` or `$..key`; `headers`, `parameters` and
        `fields` are more names of secrets, `keep` are names that look like secrets and are none. Raises BadRule.
        """
        self._paths = [(path, parsed(path)) for path in paths]
        self._headers = SECRET_HEADERS | {name.lower() for name in headers}
        self._parameters = {name.lower() for name in parameters}
        self._fields = {name.lower() for name in fields}
        self._kept = {name.lower() for name in keep}
        self._echoes: set[str] = set()
        self.blanked: Counter[str] = Counter()
        """Where secrets stood, and how many in each kind of place."""

    def path(self, path_and_query: str) -> str:
        """A request's path with the secrets of its query blanked."""
        path, mark, query = path_and_query.partition("?")
        return self.text(path) + mark + "&".join(self._parameter(part) for part in query.split("&"))

    def _parameter(self, part: str) -> str:
        name, equals, value = part.partition("=")
        if not self._is_secret(name, self._parameters) or not value:
            return self.text(part)
        return f"{name}{equals}{self._blank(f'parameter {name}', unquote(value))}"

    def kept_headers(self, headers: Mapping[str, str], keep: Iterable[str]) -> dict[str, str]:
        """Those headers that are to be kept, secret ones blanked."""
        found = {}
        for name in keep:
            if (value := headers.get(name)) is not None:
                if name.lower() in self._headers:
                    value = self._blank(f"header {name}", value.rpartition(" ")[2])
                found[name] = self.text(value)
        return found

    def json(self, value: Any) -> Any:
        """A JSON value with its secrets blanked."""
        for path, steps in self._paths:
            before, value = value, _blanked_at(value, steps)
            if before != value:
                self.blanked[path] += 1
        return self._by_name(value)

    def _by_name(self, value: Any, secret: str = "") -> Any:
        """`secret` names the field around the value whose name says that all within is secret."""
        match value:
            case {"name": str(name), "value": part} if not secret and self._is_secret(name, self._fields):
                return value | {"value": self._by_name(part, name)}
            case [str(name), str(part)] if not secret and self._is_secret(name, self._fields) and " " not in name:
                return [name, self._by_name(part, name)]
            case dict():
                return {self.text(key): self._by_name(part, self._within(key, secret)) for key, part in value.items()}
            case list():
                return [self._by_name(part, secret) for part in value]
        return self._scalar(value, secret)

    def _scalar(self, value: Any, secret: str) -> Any:
        if isinstance(value, str) and value not in {"", BLANKED}:
            return self._blank(f"field {secret}", value) if secret else self.text(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if secret and is_number and abs(value) >= LEAST_SECRET_NUMBER:
            return self._blank(f"field {secret}", str(value))
        return value

    def _within(self, key: str, around: str) -> str:
        return around or (key if self._is_secret(key, self._fields) else "")

    def text(self, text: str) -> str:
        """A text in which no secret stands: none that looks like one, and none that was seen before."""
        found = blanked(text, self._blank, is_kept=self._keeps)
        for echo in self._echoes:
            if echo in found:
                self.blanked["a secret that was seen before"] += 1
                found = found.replace(echo, BLANKED)
        return found

    def event(self, event: Event) -> Event:
        """An event of a recording with its secrets blanked, its long strings in short."""
        found: dict[str, Any] = {}
        for name in ("message", "body"):
            if (value := getattr(event, name, msgspec.UNSET)) is not msgspec.UNSET:
                try:
                    found[name] = contracted(self.json(value))
                except RecursionError:
                    found[name] = self._flat(value)
        for name in ("text", "reason"):
            if isinstance(value := getattr(event, name, None), str):
                found[name] = contracted(self.text(value))
        if isinstance(event, Open | Request):
            found["path"] = self.path(event.path)
        return msgspec.structs.replace(event, **found)

    def _flat(self, value: Any) -> Any:
        """Of a message that is nested too deeply to be gone through for secrets, what is not nested."""
        self.blanked["what is nested too deeply to be gone through"] += 1
        if not isinstance(value, dict):
            return BLANKED
        return self.json({key: BLANKED if isinstance(part, dict | list) else part for key, part in value.items()})

    def _is_secret(self, name: str, named: set[str]) -> bool:
        return not self._keeps(name) and (name.lower() in named or is_secret_name(name))

    def _keeps(self, name: str) -> bool:
        return name.lower() in self._kept

    def _blank(self, place: str, secret: str) -> str:
        if secret == BLANKED:
            return secret
        self.blanked[place] += 1
        surely = place.startswith(("parameter", "header"))
        if len(secret) >= (SHORTEST_ECHO if surely else SHORTEST_GUESS) and (surely or not secret.isalpha()):
            self._echoes.add(secret)
        return BLANKED


def parsed(path: str) -> list[PathStep]:
    """The steps of a JSON path: names, indices, `*` and `..name`. Raises BadRule."""
    rest = path.removeprefix("$")
    steps: list[PathStep] = []
    while rest:
        found = _STEP.match(rest)
        if found is None:
            raise BadRule(f"{path} is no JSON path that is understood here: $.name, $.list[0], $.list[*].name, $..name")
        steps += [(kind, text) for kind, text in found.groupdict().items() if text is not None]
        rest = rest[found.end() :]
    if not steps:
        raise BadRule(f"{path} names nothing: a JSON path such as $.payload.key is needed")
    return steps


def _blanked_at(value: Any, steps: list[PathStep]) -> Any:
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


_WORDS: Final = r"token|secret|passw|passphrase|(?<![a-z])pass(?![a-z])|pwd|key|credential|auth|sig|cookie"
_SECRET_WORD: Final = re.compile(_WORDS)
_INNOCENT: Final = re.compile(
    r"assign|design|signal|signific|insight|author(?!i)|keyboard|keyword|keyframe|monkey|tokeniz|(max|min|num|n)_?tokens"
)
"""Words that contain one of the others by chance, or name no secret."""
# Every pattern is bounded: a payload of megabytes is read in one pass.
_USER_IN_URL: Final = re.compile(
    r"(?P<before>\b[a-z][a-z0-9+.-]{0,20}://)(?P<secret>[^\s/@\"'<>]+)(?=@)", re.IGNORECASE
)
_PARAMETER: Final = re.compile(r"(?P<before>[?&;](?P<name>[\w.%-]{1,64})=)(?P<secret>[^&\s\"'<>#]+)")
_SCHEME: Final = re.compile(r"(?P<before>\b(?P<name>Bearer|Basic)\s+)(?P<secret>[\w.~+/=-]{6,})", re.IGNORECASE)
_ASSIGNED: Final = re.compile(
    rf"(?P<before>(?<![\w-])(?P<name>[\w-]{{0,40}}?(?:{_WORDS})[\w-]{{0,40}})[\\\"']*(?:\s*[:=]\s*|>)[\\\"']*)(?P<secret>[^\s\\\"',;&<>]{{4,}})",
    re.IGNORECASE,
)
_NEXT_TO: Final = re.compile(
    rf"(?P<before>(?P<name>\b\w{{0,40}}?(?:{_WORDS})\w{{0,40}})\W{{1,4}}(?:\w{{1,20}}\W{{1,4}}){{0,3}}?)(?P<secret>[\w+/=.-]{{12,}})",
    re.IGNORECASE,
)
_ESCAPED: Final = re.compile(r"[^\s\"'<>&=]{0,2000}%[0-9a-f]{2}[^\s\"'<>&]{0,2000}", re.IGNORECASE)
_JSON_WEB_TOKEN: Final = re.compile(r"(?P<before>)(?P<secret>\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", re.IGNORECASE)
_RANDOM_BITS: Final = 3.0
"""Bits a character from which on a text of 12 is taken for random: words have less, keys of any alphabet more."""
_LONG: Final = 12

Blank = Callable[[str, str], str]
"""Gets what kind of place a secret stood in and the secret; answers what is to stand there."""


def is_secret_name(name: str) -> bool:
    """Whether what stands under that name is a secret, by the words that the name contains."""
    return _SECRET_WORD.search(_INNOCENT.sub("", name.lower())) is not None


def blanked(text: str, blank: Blank, *, is_kept: Callable[[str], bool]) -> str:
    """The text with every secret in it given to `blank`. Names for which `is_kept` holds make nothing a secret."""

    def replace(kind: str, condition: Callable[[str, str], bool]) -> Callable[[re.Match[str]], str]:
        def one(found: re.Match[str]) -> str:
            name, secret = found.groupdict().get("name") or "", found["secret"]
            wanted = not (name and is_kept(name)) and condition(name, secret)
            return found["before"] + (blank(f"{kind} {name}".strip(), secret) if wanted else secret)

        return one

    if "%" in text:
        text = _ESCAPED.sub(lambda found: _unescaped(found[0], blank, is_kept), text)
    text = _USER_IN_URL.sub(replace("the user of a URL", lambda _name, _secret: True), text)
    text = _PARAMETER.sub(replace("parameter", lambda name, _secret: is_secret_name(name)), text)
    text = _SCHEME.sub(replace("a credential after", lambda _name, secret: _is_odd(secret)), text)
    text = _JSON_WEB_TOKEN.sub(replace("a JSON web token", lambda _name, _secret: True), text)
    text = _ASSIGNED.sub(replace("text after", lambda name, secret: is_secret_name(name) and _is_odd(secret)), text)
    return _NEXT_TO.sub(replace("text near", lambda name, secret: is_secret_name(name) and _is_random(secret)), text)


def _unescaped(text: str, blank: Blank, is_kept: Callable[[str], bool]) -> str:
    """A text with escapes such as `%3A`: read as what it stands for, and escaped again where that had secrets."""
    plain = unquote(text)
    found = blanked(plain, blank, is_kept=is_kept) if "%" not in plain else plain
    return text if found == plain else quote(found, safe="")


def _is_odd(text: str) -> bool:
    """Whether a text is no plain word: a sentence such as "basic settings" has to stay one."""
    return len(text) >= _LONG or any(letter.isdigit() for letter in text) or not text.isalpha()


def _is_random(text: str) -> bool:
    if _UUID.search(text) or not any(letter.isdigit() for letter in text):
        return False  # ids of jobs are no secrets, and words have no digits
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts) >= _RANDOM_BITS
