"""What a service loads when it starts, which it does after each crash."""

import subprocess
import sys

from shared.events.topics import STAGES

LOADED = "import {modules}, sys; print(*(name for name, module in sys.modules.items() if module))"


def loaded_with(modules: str) -> set[str]:
    argv = [sys.executable, "-c", LOADED.format(modules=modules)]
    return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())


def test_a_service_loads_nothing_that_it_never_uses() -> None:
    loaded = loaded_with(", ".join(f"services.{service}.__main__" for service in STAGES))
    assert {"structlog", "fastapi"} <= loaded
    assert loaded.isdisjoint({"rich", "pydantic.v1", "typer"})


def test_who_knows_no_issuer_loads_nothing_that_asks_one() -> None:
    loaded = loaded_with("services.registry.__main__, services.eligibility.__main__")
    assert loaded.isdisjoint({"aiohttp", "joserfc"})


def test_commands_have_their_tables() -> None:
    assert "rich.table" in loaded_with("salur.commands.cycle, rich.table")
