"""What looks like a secret: names of fields and parameters, and texts. Pure; `Redaction` decides what is done."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote

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
