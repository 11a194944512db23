"""A frame as one line of text, its differing fields marked. Whatever a frame holds is escaped: it may be hostile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from markupsafe import Markup, escape

from harness.results import TranscriptEvent
from harness.results.formatting import shortened

LINE_LIMIT: Final = 1_600
"""A frame that would be longer is shown field by field, each cut to FIELD_LIMIT characters."""
FIELD_LIMIT: Final = 160

Marks = Mapping[str, str]
"""Path of a field → the kind of its difference (different, declared, noise), which is the mark's class."""

ROOT: Final = ""


def show_frame(frame: TranscriptEvent, marks: Marks, most: int = LINE_LIMIT) -> Markup:
    """The frame: its type first, then its fields, each name dimmed, each differing field marked."""
    if frame.text is not None:
        return _marked(escape(_cut(frame.text, most)), marks.get(ROOT))
    message = frame.message
    if message is None:
        return Markup("")
    if not isinstance(message, dict):
        return _marked(escape(_cut(_json(message), most)), marks.get(ROOT))
    limit = FIELD_LIMIT if len(_json(message)) > most else most
    parts = []
    if isinstance(message.get("type"), str):
        parts.append(_marked(Markup("<b>{}</b>").format(_cut(message["type"], FIELD_LIMIT)), marks.get("type")))
    for name, value in message.items():
        if name != "type" or not isinstance(value, str):
            parts.append(_field(str(name), value, marks, limit))
    parts += [_absent(path, kind) for path, kind in marks.items() if path and not _has(message, path)]
    return _marked(Markup(" ").join(parts), marks.get(ROOT))


def _field(name: str, value: object, marks: Marks, limit: int) -> Markup:
    inner = [kind for path, kind in marks.items() if _first(path) == name]
    shown = Markup("<i>{}</i> {}").format(_cut(name, FIELD_LIMIT), _cut(_json(value), limit))
    if not inner:
        return shown
    deeper = {path.removeprefix(name).lstrip("."): kind for path, kind in marks.items() if _first(path) == name}
    if ROOT in deeper or not isinstance(value, dict):
        return _marked(shown, inner[0])
    parts = [_field(str(key), part, deeper, limit) for key, part in value.items()]
    return Markup("<i>{}</i> {{{}}}").format(name, Markup(" ").join(parts))


def _absent(path: str, kind: str) -> Markup:
    return Markup('<mark class="{} absent">no <i>{}</i></mark>').format(kind, path)


def _has(message: object, path: str) -> bool:
    if not path:
        return True
    if not isinstance(message, dict):
        return "[" in path
    name = _first(path)
    return name in message and _has(message[name], path.removeprefix(name).lstrip("."))


def _first(path: str) -> str:
    """The name before the first dot or bracket: `result` of `result.images[0]`."""
    return path.split(".", 1)[0].split("[", 1)[0]


def _marked(shown: Markup, kind: str | None) -> Markup:
    return shown if kind is None else Markup('<mark class="{}">{}</mark>').format(kind, shown)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str, limit: int) -> str:
    return shortened(text, limit, limit // 3)
