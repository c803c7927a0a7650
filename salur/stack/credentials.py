"""The secrets of a stack: made on the first start, kept in one file that only its owner can read."""

import hashlib
import json
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from salur.stack.home import Home, write_private

SOURCES: dict[str, tuple[str, ...]] = {"polman": ("registration", "flag"), "dukcapil": ("flag",), "bkn": ("flag",)}
"""The sources of a new embedded stack and what they may submit: the regency, the civil registry, the civil service."""
CONSOLE = {"name": "console", "may": ["registration"]}
"""The source of what officers enter by hand: it has no token, officers have their own."""


def _token() -> str:
    return secrets.token_hex(24)


class Credentials(BaseModel):
    """What the processes of a stack prove themselves with to each other."""

    model_config = ConfigDict(frozen=True)

    bank_token: str = Field(default_factory=_token)
    carrier_token: str = Field(default_factory=_token)
    carrier_secret: str = Field(default_factory=_token)
    officer_token: str = Field(default_factory=_token)
    """Who has it may propose and approve cycles."""
    reseal_token: str = Field(default_factory=_token)
    """Who has it may have the registry seal values anew, with the keys in use."""
    issuer_secret: str = Field(default_factory=_token)
    """The console proves itself with it to the simulated issuer of officers' tokens."""
    portal_secret: str = Field(default_factory=_token)
    """Keys the portal's hashes of codes and addresses."""
    lookup_token: str = Field(default_factory=_token)
    """The portal shows it to the look-up process."""
    source_tokens: dict[str, str] = Field(default_factory=lambda: {name: _token() for name in SOURCES})
    """HTTP token of each source of submissions."""


def credentials(path: Path) -> Credentials:
    """The secrets in `path`, made now where the file, or one of them, is missing."""
    try:
        known = Credentials.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = Credentials()
    if known.model_fields_set != set(Credentials.model_fields):
        write_private(path, known.model_dump_json(indent=1))
    return known


def sources_file(home: Home, known: Credentials) -> Path:
    """The registry's list of sources, with the tokens' hashes; made where it is missing, then the user's to change."""
    path = home.root / "sources.json"
    if not path.exists():
        entries = [
            {"name": name, "token_sha256": hashlib.sha256(token.encode()).hexdigest(), "may": SOURCES[name]}
            for name, token in known.source_tokens.items()
        ]
        write_private(path, json.dumps([*entries, CONSOLE], indent=1))
    return path
