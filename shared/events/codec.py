"""Bytes to events and back.

Reading ignores unknown fields (a newer producer may have added some); writing cannot have any, because the models
refuse them.
"""

import re
from typing import Any

import pydantic_core
from pydantic import ValidationError

from shared.errors import SalurError
from shared.events.envelope import Event, envelope
from shared.events.model import Data
from shared.events.topics import MODELS
from shared.privacy.scrub import scrub_errors

PROBLEMS_SHOWN = 5
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000").search
"""NUL as JSON writes it, and not a backslash before `u0000`."""


class Undecodable(SalurError):
    """A message that is not an event of the contract: poison."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def encode(event: Event[Any]) -> bytes:
    return event.__pydantic_serializer__.to_json(event, exclude_none=True)


def decode(model: type[Data], raw: bytes) -> Event[Any]:
    """Raises Undecodable with a code, and a reason that repeats nothing of the message."""
    if b"\\" in raw and b"\\u0000" in raw and _NUL(raw):
        raise Undecodable("not_valid", "a text holds the character NUL, which no database takes")
    try:
        event: Event[Any] = envelope(model).__pydantic_validator__.validate_json(raw, extra="ignore")
    except ValidationError as error:
        problems = scrub_errors(error, most=PROBLEMS_SHOWN)
        code = "not_json" if problems[0]["type"] == "json_invalid" else "not_valid"
        raise Undecodable(code, _sentence(problems, error.error_count())) from None
    if event.type != model.TYPE:
        raise Undecodable("wrong_type", f"type is not {model.TYPE}, which is what this topic carries")
    return event


def decode_any(raw: bytes, allowed: frozenset[str]) -> Event[Any]:
    """An event of any of the `allowed` types, told by its own `type` (a replay topic carries several)."""
    try:
        stated = pydantic_core.from_json(raw)["type"]
    except (ValueError, TypeError, KeyError):
        raise Undecodable("not_json", "the message is not a JSON object with a type") from None
    if not isinstance(stated, str) or stated not in allowed:
        raise Undecodable("wrong_type", "type is none of " + ", ".join(sorted(allowed)))
    return decode(MODELS[stated], raw)


def _sentence(shown: list[dict[str, Any]], problems: int) -> str:
    told = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'message'}: {p['msg']}" for p in shown)
    return told + (f"; and {problems - len(shown)} more" if problems > len(shown) else "")
