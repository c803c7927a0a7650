"""The one scrubber: nothing about a person leaves through logs, error texts, traces or dead letters' reasons.

It replaces what looks like a NIK, a No. KK, a phone number or an account number (8 digits and more, however they are
grouped), values of fields named like personal data, sealed values, and what databases and validators repeat of their
input. A person's name in the middle of a sentence has no shape: code never puts one there, and errors of our own
never carry values.
"""

import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import date, timedelta
from enum import Enum
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ValidationError

from shared.privacy.patterns import (
    ANYTHING,
    CANDIDATES,
    ECHOES,
    HAS_DIGITS,
    NAMED,
    is_count,
    is_private,
    is_public_code,
    kind_of,
)
from shared.privacy.sealed import Sealed, shown

GONE: Final = "[private]"
_DEPTH_MAX: Final = 12
_LONG_NUMBER: Final = 10_000_000
_ECHO_CHARS_MIN: Final = 3
_FIXED: Final = frozenset({"missing", "extra_forbidden", "string_type", "int_type", "model_type", "dict_type"})
"""Problems that pydantic states in the same words whatever it was given."""


def scrub_text(text: str) -> str:
    """The text without personal data; the same text, quickly, when there is nothing to do. Doing it twice adds
    nothing."""
    if not ANYTHING(text):
        return text
    if "=" in text or ":" in text or "(" in text:
        text = NAMED.sub(_without_value, ECHOES.sub(_without_echo, text))
    return CANDIDATES.sub(_without_digits, text) if HAS_DIGITS(text) else text


def scrub_event_dict(logger: Any, method_name: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the last before the renderer. An exception that is not formatted yet is, and scrubbed."""
    if exc_info := event_dict.pop("exc_info", None):
        error = exc_info if isinstance(exc_info, BaseException) else _current(exc_info)
        if error is not None:
            event_dict["exception"] = scrub_exception(error)
    for key, value in event_dict.items():
        event_dict[key] = _scrubbed(key, value, 0)
    return event_dict


def scrub_exception(error: BaseException) -> str:
    """The traceback with its causes, as Python prints it, scrubbed."""
    return scrub_text("".join(traceback.format_exception(error)).rstrip("\n"))


def scrub_errors(error: ValidationError, most: int | None = None) -> list[dict[str, Any]]:
    """What is wrong, as `{loc, type, msg}`: no input, no context, and no message that repeats the input.

    `most`: only the first so many.
    """
    return scrub_problems(error.errors(include_url=False, include_context=False)[:most])


def scrub_problems(problems: list[Any]) -> list[dict[str, Any]]:
    """The same for a list that `errors()` of pydantic or FastAPI gave."""
    return [
        {
            "loc": [part if isinstance(part, int) else scrub_text(str(part)) for part in problem.get("loc", ())],
            "type": problem.get("type", "value_error"),
            "msg": problem["msg"]
            if problem.get("type") in _FIXED
            else _without_input(problem.get("msg", ""), problem.get("input")),
        }
        for problem in problems
    ]


def scrub_value(value: Any) -> Any:
    """Any value, made of plain types that a JSON renderer takes."""
    return _scrubbed("", value, 0)


def _scrubbed(key: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if is_private(key):
        return GONE
    if isinstance(value, str):
        if isinstance(value, Sealed):
            return repr(value)
        return value if is_public_code(key, value) else scrub_text(value)
    if isinstance(value, int | float):
        return value if -_LONG_NUMBER < value < _LONG_NUMBER or is_count(key) else "[number]"
    if depth >= _DEPTH_MAX:
        return "[too deep]"
    return _scrubbed_other(key, value, depth)


def _scrubbed_other(key: str, value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {scrub_text(str(name)): _scrubbed(str(name), held, depth + 1) for name, held in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_scrubbed(key, held, depth + 1) for held in value]
    if isinstance(value, BaseModel):
        return _scrubbed(key, value.model_dump(), depth)
    if isinstance(value, BaseException):
        return scrub_text(f"{type(value).__name__}: {value}")
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, Enum):
        return _scrubbed(key, value.value, depth + 1)
    if isinstance(value, date | timedelta | UUID):
        return value
    return scrub_text(str(value))


def _without_digits(match: re.Match[str]) -> str:
    found = match.group()
    if match.lastgroup == "digits":
        return kind_of(found)
    return shown(found) if match.lastgroup == "sealed" else found


def _without_value(match: re.Match[str]) -> str:
    value = match.group("value")
    if value.startswith(GONE) or value in ("None", "null"):
        return match.group()
    return match.group("name") + GONE


def _without_echo(match: re.Match[str]) -> str:
    return f"{match.group(match.lastgroup or 0)}{GONE}"


def _without_input(message: str, given: Any) -> str:
    for text in sorted(_leaves(given, 0), key=len, reverse=True):
        if len(text) >= _ECHO_CHARS_MIN:
            message = message.replace(text, "[input]")
    return scrub_text(message)


def _leaves(value: Any, depth: int) -> set[str]:
    """All texts in a value, keys included: any of them may have found its way into a message."""
    if isinstance(value, Mapping) and depth < _DEPTH_MAX:
        return {leaf for pair in value.items() for held in pair for leaf in _leaves(held, depth + 1)}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEPTH_MAX:
        return {leaf for held in value for leaf in _leaves(held, depth + 1)}
    if isinstance(value, bytes):
        return {value.decode("utf-8", "replace")}
    return set() if value is None or isinstance(value, bool) else {str(value)}


def _current(exc_info: Any) -> BaseException | None:
    """structlog passes True for the exception that is being handled, or a triple as `sys.exc_info` gives it."""
    if isinstance(exc_info, tuple):
        error: BaseException | None = exc_info[1]
        return error
    return sys.exception()
