"""How the hub checks values against declared shapes: what it accepts, coerces and refuses, and with which texts;
and the errors of its inner workings that it shows to whoever sent the message: their words are those of Python and of
the Redis client, because that is where they come from in the hub.

The hub declares its messages as data models of a validation library; its clients see that library's rules (text "5"
passes for a whole number, 2.0 does, 2.5 does not) and, over REST and in leaked errors, its wording.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

MANUAL = "https://errors.pydantic.dev/2.14/v/"
"""Where the hub's validation errors point to."""

WHOLE = re.compile(r"\s*([+-]?[0-9]+(?:_[0-9]+)*)(?:\.0+)?\s*", re.ASCII)
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+|inf|infinity|nan)(?:e[+-]?[0-9]+)?", re.ASCII | re.IGNORECASE)
TRUE_WORDS = frozenset({"1", "on", "t", "true", "y", "yes"})
FALSE_WORDS = frozenset({"0", "off", "f", "false", "n", "no"})
MOST_DIGITS = 4300


class FieldType(enum.Enum):
    """What a field may hold."""

    TEXT = enum.auto()
    WHOLE = enum.auto()
    NUMBER = enum.auto()
    FLAG = enum.auto()
    OBJECT = enum.auto()
    TEXTS = enum.auto()
    ANYTHING = enum.auto()


class Field(msgspec.Struct, frozen=True):
    """One field of a shape."""

    name: str
    kind: FieldType
    nullable: bool = False
    required: bool = True
    default: Any = None


class Problem(msgspec.Struct, frozen=True):
    """One refusal: the library's name for it, where, its sentence and the value refused."""

    type: str
    loc: tuple[str | int, ...]
    msg: str
    input: Any


class Refusal(Exception):  # noqa: N818 - an outcome that the caller turns into an answer
    """A value alone does not fit; where it stood is added by the caller."""

    def __init__(self, type_: str, msg: str) -> None:
        super().__init__(type_, msg)
        self.type = type_
        self.msg = msg


def whole(value: Any) -> int:
    """A whole number, or what passes for one."""
    match value:
        case bool() | int():
            return int(value)
        case float() if not math.isfinite(value):
            raise Refusal("finite_number", "Input should be a finite number")
        case float() if not value.is_integer():
            raise Refusal("int_from_float", "Input should be a valid integer, got a number with a fractional part")
        case float() if abs(value) >= 2.0**63:
            raise too_long()
        case float():
            return int(value)
        case str() if found := WHOLE.fullmatch(value):
            if len(found[1]) > MOST_DIGITS:
                raise too_long()
            return int(found[1])
        case str():
            raise Refusal("int_parsing", "Input should be a valid integer, unable to parse string as an integer")
    raise Refusal("int_type", "Input should be a valid integer")


def too_long() -> Refusal:
    """A whole number beyond what the library reads."""
    return Refusal("int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size")


def number(value: Any) -> float:
    """A number, or what passes for one."""
    match value:
        case bool() | int() | float():
            try:
                return float(value)
            except OverflowError:
                raise Refusal("float_type", "Input should be a valid number") from None
        case str() if NUMBER.fullmatch(plain := value.strip(" \t\r\n\f\v")) or NUMBER.fullmatch(plain := joined(value)):
            return float(plain)
        case str():
            raise Refusal("float_parsing", "Input should be a valid number, unable to parse string as a number")
    raise Refusal("float_type", "Input should be a valid number")


def joined(text: str) -> str:
    """A text without the single underscores inside it, which group a number's digits."""
    grouped = "_" in text.strip("_") == text and "__" not in text
    return text.replace("_", "") if grouped else text


def flag(value: Any) -> bool:
    """True or false, or one of the words and numbers that pass for them."""
    match value:
        case bool():
            return value
        case int() | float() if value in (0, 1):
            return bool(value)
        case str() if value.lower() in TRUE_WORDS | FALSE_WORDS:
            return value.lower() in TRUE_WORDS
        case str() | int() | float() if isinstance(value, str) or (value == value // 1 and abs(value) < 2**63):
            raise Refusal("bool_parsing", "Input should be a valid boolean, unable to interpret input")
    raise Refusal("bool_type", "Input should be a valid boolean")


def coerce(value: Any, kind: FieldType) -> Any:
    """The value as the kind wants it; raises `Refusal`."""
    match kind:
        case FieldType.WHOLE:
            return whole(value)
        case FieldType.NUMBER:
            return number(value)
        case FieldType.FLAG:
            return flag(value)
        case FieldType.TEXT if not isinstance(value, str):
            raise Refusal("string_type", "Input should be a valid string")
        case FieldType.OBJECT if not isinstance(value, dict):
            raise Refusal("dict_type", "Input should be a valid dictionary")
        case FieldType.TEXTS if not isinstance(value, list):
            raise Refusal("list_type", "Input should be a valid list")
    return value


def fit(fields: Sequence[Field], given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The fields of a shape taken from what was given, and everything that does not fit, in the shape's order."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for field in fields:
        if field.name not in given:
            if field.required:
                problems.append(Problem("missing", (field.name,), "Field required", dict(given)))
            values[field.name] = field.default
            continue
        value = given[field.name]
        if value is None and field.nullable:
            values[field.name] = None
            continue
        try:
            values[field.name] = coerce(value, field.kind)
        except Refusal as refusal:
            problems.append(Problem(refusal.type, (field.name,), refusal.msg, value))
            continue
        if field.kind is FieldType.TEXTS:
            problems.extend(texts_refused(field.name, value))
    return values, problems


def texts_refused(name: str, items: list[Any]) -> list[Problem]:
    """The members of a list that are no text."""
    return [
        Problem("string_type", (name, at), "Input should be a valid string", item)
        for at, item in enumerate(items)
        if not isinstance(item, str)
    ]


def sentence(model: str, problems: Sequence[Problem]) -> str:
    """The refusals as the library words them in an error's text."""
    count = len(problems)
    lines = [f"{count} validation error{'' if count == 1 else 's'} for {model}"]
    for problem in problems:
        kind = type(problem.input).__name__
        lines.append(".".join(str(part) for part in problem.loc))
        lines.append(
            f"  {problem.msg} [type={problem.type}, input_value={shortened(problem.input)}, input_type={kind}]"
        )
        lines.append(f"    For further information visit {MANUAL}{problem.type}")
    return "\n".join(lines)


def shortened(value: Any) -> str:
    """A value as shown in an error: its ends where it is long."""
    text = repr(value)
    return text if len(text) <= 50 else f"{text[:25]}...{text[-24:]}"


def detail(problems: Sequence[Problem], *within: str) -> list[dict[str, Any]]:
    """The refusals as REST shows them."""
    return [
        {
            "type": problem.type,
            "loc": [*within, *problem.loc],
            "msg": problem.msg,
            "input": problem.input,
            "url": f"{MANUAL}{problem.type}",
        }
        for problem in problems
    ]


def must_fit(model: str, fields: Sequence[Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a shape; raises `PythonError` with the library's words where the hub lets them out."""
    values, problems = fit(fields, given)
    if problems:
        raise PythonError(sentence(model, problems))
    return values


class PythonError(Exception):
    """Becomes "Server error processing message: <text>"."""

    @property
    def text(self) -> str:
        """The words shown."""
        return str(self.args[0])


def no_object(value: Any) -> PythonError:
    """What comes of a message that is JSON but no object."""
    return PythonError(f"'{type(value).__name__}' object has no attribute 'get'")


def stored(value: Any) -> str:
    """A value as the Redis client stores it; raises `PythonError` for what it refuses."""
    match value:
        case bool() | None | list() | dict():
            kind = type(value).__name__
            raise PythonError(f"Invalid input of type: '{kind}'. Convert to a bytes, string, int or float first.")
        case float():
            return repr(value)
        case str():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise PythonError(str(error)) from None
            return value
    return str(value)


def stored_whole(text: str) -> int:
    """A stored text read as a whole number; raises `PythonError` with Python's words."""
    try:
        return int(text)
    except ValueError as error:
        raise PythonError(str(error)) from None


def queue_score(priority: Any, created_at: float) -> float:
    """Where a job goes in the queue: priority before age. Raises `PythonError` where the sum cannot be made."""
    try:
        score = float((priority + 1) * 10_000_000_000 - created_at)
    except (TypeError, OverflowError) as error:
        raise PythonError(str(error)) from None
    if math.isnan(score):
        raise PythonError("value is not a valid float")
    return score
