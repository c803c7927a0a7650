"""The files under docs/contract: written from the code, and compared with it."""

import json
from pathlib import Path
from typing import Any

from salur.contract.asyncapi import document
from salur.contract.examples import example
from salur.contract.schemas import all_schemas, file_name
from shared.events.topics import MODELS

FOLDER = Path("docs/contract")
CONTRACT_VERSION = "0.1.0"
"""The release that `docs/contract/released` holds, and the one in the making once they differ."""


def contents() -> dict[str, str]:
    """Every file of the contract by its path under docs/contract."""
    files = {"asyncapi.json": _json(document(CONTRACT_VERSION))}
    files |= {f"schemas/{name}": _json(schema) for name, schema in all_schemas().items()}
    for model in MODELS.values():
        event = example(model)
        files[f"examples/{file_name(model)}"] = _json(event.model_dump(mode="json", exclude_none=True))
    return files


def differences(folder: Path) -> list[str]:
    """Paths under `folder` that are missing, superfluous or differ from the code."""
    wanted = contents()
    found = {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for sub in (".", "schemas", "examples")
        for path in (folder / sub).glob("*.json")
    }
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(folder: Path) -> list[str]:
    """Brings `folder` to what the code says; returns what changed."""
    changed = differences(folder)
    wanted = contents()
    for name in changed:
        path = folder / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8")
        else:
            path.unlink()
    return changed


def released(folder: Path) -> dict[str, Any]:
    """The schemas of the last release by file name."""
    return {
        path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "released").glob("*.json"))
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False) + "\n"
