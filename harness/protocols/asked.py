"""What a client asks for by a frame or a request: the actions of a description, read backwards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from harness.protocols.description import Action, Description

ACTIONS: Final = ("submit", "cancel", "retry", "follow", "ask")
_NAME: Final = re.compile(r"\{(\w+)\}")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One action, and what it is about; what was not said is None, or empty."""

    action: str
    """One of `ACTIONS`."""
    job_id: str = ""
    """With `submit`, the id that the client chose."""
    service: str = ""
    payload: Any = None
    priority: int = 0
    reason: str | None = None


def asked_by_frame(description: Description, frame: Mapping[str, Any]) -> Asked | None:
    """What a client's frame asks for, or None."""
    for name, action in _actions(description):
        if action.send is not None and (found := said(action.send, frame)) is not None:
            return _asked(name, found)
    return None


def asked_by_request(description: Description, method: str, path: str, body: Any) -> Asked | None:
    """What a request asks for, or None. What it has in its query beyond the description says nothing."""
    for name, action in _actions(description):
        wanted, _, place = action.request.partition(" ")
        if wanted != method:
            continue
        known = said(place, path if "?" in place else path.partition("?")[0])
        content = said(action.body, body or {}) if action.body else {}
        if known is not None and content is not None:
            return _asked(name, {key: unquote(value) for key, value in known.items()} | content)
    return None


def client_at(description: Description, path: str) -> str | None:
    """The name of the client that opens a WebSocket at that path; empty where the path has none, None for another."""
    if not description.socket:
        return None
    found = said(description.socket, path if "?" in description.socket else path.partition("?")[0])
    return None if found is None else unquote(str(found.get("client", "")))


def said(template: Any, value: Any) -> dict[str, Any] | None:
    """What stands in the places of the template's `{names}`; None where the value is not of that form.

    A field that has only a name may be missing, and there may be more fields.
    """
    if isinstance(template, dict):
        if not isinstance(value, Mapping):
            return None
        missing = [part for key, part in template.items() if key not in value]
        found = [said(part, value[key]) for key, part in template.items() if key in value]
        return _together(found) if all(isinstance(part, str) and _NAME.fullmatch(part) for part in missing) else None
    if isinstance(template, list):
        same = isinstance(value, list) and len(value) == len(template)
        return _together([said(*pair) for pair in zip(template, value, strict=True)]) if same else None
    if not isinstance(template, str) or not _NAME.search(template):
        return {} if template == value else None
    if whole := _NAME.fullmatch(template):
        return {whole[1]: value}
    names = _NAME.findall(template)
    pattern = "([^/?&]+)".join(re.escape(part) for part in _NAME.split(template)[::2])
    match = re.fullmatch(pattern, value) if isinstance(value, str) else None
    return None if match is None else dict(zip(names, match.groups(), strict=True))


def _together(found: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    whole: dict[str, Any] = {}
    for part in found:
        if part is None:
            return None
        whole |= part
    return whole


def _actions(description: Description) -> list[tuple[str, Action]]:
    named = ((name, getattr(description, name)) for name in ACTIONS)
    return [(name, action) for name, action in named if action is not None]


def _asked(name: str, found: Mapping[str, Any]) -> Asked:
    priority, reason = found.get("priority"), found.get("reason")
    return Asked(
        action=name,
        job_id=str(found.get("job_id") or ""),
        service=str(found.get("service") or ""),
        payload=found.get("payload"),
        priority=int(priority) if isinstance(priority, int | float) else 0,
        reason=None if reason is None else str(reason),
    )
