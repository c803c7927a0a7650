"""A message's body as it may be shown to whoever must judge it without seeing the person.

It may be anything, so nothing in it is trusted by its name alone: of all texts only the envelope's, and what has the
shape of an id, a time, a region's code or a sealed value, are shown.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from shared.privacy.patterns import CANDIDATES, is_private, is_public_code
from shared.privacy.scrub import GONE, scrub_text, scrub_value
from shared.privacy.sealed import shown

_ENVELOPE: Final = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "dataschema", "datacontenttype"}
    | {"traceparent", "causationid", "correlationid"}
)
_DEPTH_MAX: Final = 12
_SAFE: Final = re.compile(r"[rf]-[0-9a-f]{32}|(?:19|20)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z").fullmatch
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)*").fullmatch


def masked_body(body: bytes) -> str:
    """The body as JSON, masked. Of what is no JSON object only the length is told."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        return f"[{len(body)} bytes that are no JSON object]"
    told = {
        _name(name): scrub_text(value) if name in _ENVELOPE and isinstance(value, str) else _masked(name, value, 0)
        for name, value in content.items()
    }
    return orjson.dumps(told).decode()


def _masked(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if is_private(name):
        return GONE
    if isinstance(value, str):
        return _masked_text(name, value)
    if depth >= _DEPTH_MAX:
        return "[too deep]"
    if isinstance(value, Mapping):
        return {_name(key): _masked(key, held, depth + 1) for key, held in value.items()}
    if isinstance(value, list):
        return [_masked(name, held, depth + 1) for held in value]
    return scrub_value({name: value})[scrub_text(name)]


def _masked_text(name: str, text: str) -> str:
    if _SAFE(text) or is_public_code(name, text):
        return text
    found = CANDIDATES.fullmatch(text)
    return shown(text) if found and found.lastgroup == "sealed" else GONE


def _name(name: str) -> str:
    """A field's name; what is no name may be anything."""
    return scrub_text(name) if _FIELD(name) else GONE
