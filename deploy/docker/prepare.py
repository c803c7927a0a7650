"""Makes what the containers start from: the main key file, each service's part of it, and the list of sources.

Run by the one-shot service `keys` of docker-compose.yml at every start. Keys that are there stay; the list of sources
is written anew from SOURCES (`NAME:KIND+KIND`, separated by blanks) and the token of each, SOURCE_TOKEN_NAME; officers,
the source `console`, have tokens of their own.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from salur.stack.home import write_private
from shared.errors import SalurError
from shared.privacy import keyfile

PARTS: Mapping[str, tuple[str, ...]] = {
    "registry": ("identity", "submission", "eligibility", "payment", "contact", "recovery"),
    "eligibility": ("eligibility", "particulars", "recovery"),
    "payout": ("payment", "recovery"),
    "notify": ("contact", "access", "recovery"),
    "portal": ("particulars", "access", "recovery"),
    "lookup": ("identity",),
    "command": ("identity", "recovery"),
}
"""Who gets which keys; `command` is the command line, which finds a NIK and opens dead letters."""


def prepare(root: Path, environment: Mapping[str, str]) -> None:
    """Writes root/main/keys.json, root/PART/keys.json and root/registry/sources.json. May be repeated."""
    main = root / "main" / "keys.json"
    keyfile.ensure(main)
    for part, shares in PARTS.items():
        keyfile.narrow(main, shares, root / part / "keys.json")
    entries = [_source(text, environment) for text in environment.get("SOURCES", "").split()]
    write_private(root / "registry" / "sources.json", json.dumps(entries, indent=1))


def _source(text: str, environment: Mapping[str, str]) -> dict[str, object]:
    name, _, kinds = text.partition(":")
    if name == "console":
        return {"name": name, "may": kinds.split("+")}
    variable = "SOURCE_TOKEN_" + name.upper().replace("-", "_")
    token = environment.get(variable)
    if not token:
        raise SalurError(f"the source {name} has no token", hint=f"set {variable}")
    return {"name": name, "token_sha256": hashlib.sha256(token.encode()).hexdigest(), "may": kinds.split("+")}


if __name__ == "__main__":
    try:
        prepare(Path("/keys"), os.environ)
    except SalurError as error:
        sys.exit(f"{error.message}. {error.hint}")
