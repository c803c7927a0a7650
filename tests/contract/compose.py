"""docker-compose.yml as the tests see it: parsed, with its variables filled in."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def document() -> dict[str, Any]:
    """As written: `${…}` stands for itself."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return parsed


def example_environment() -> dict[str, str]:
    """Every variable of .env.example, an empty one with a value that tells where it came from."""
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    pairs = [line.partition("=")[::2] for line in lines]
    return {name: value or f"secret{name.replace('_', '').lower()}" for name, value in pairs}


def variables(text: str) -> set[str]:
    """The names that a text takes from the environment."""
    return {match["name"] for match in _VARIABLE.finditer(text)}


def services() -> dict[str, dict[str, Any]]:
    """Every service with its variables filled in from .env.example."""
    environment = example_environment()

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [fill(inner) for inner in value]
        if isinstance(value, str):
            return _VARIABLE.sub(lambda match: environment[match["name"]], value)
        return value

    filled: dict[str, dict[str, Any]] = fill(document()["services"])
    return filled


def module(service: dict[str, Any]) -> str | None:
    """The module that a container runs with `python -m`."""
    command = service.get("command")
    return command[2] if isinstance(command, list) and command[:2] == ["python", "-m"] else None


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Where in the container → (volume or path of the host, whether it may be written)."""
    parts = [text.split(":") for text in service.get("volumes", ())]
    return {target: (source, "ro" not in options) for source, target, *options in parts}
