"""`salur contract`: writes the published contract, and the page of states, from the code."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("contract")(contract)


def contract(
    out: Annotated[Path, typer.Option(help="Folder to write")] = Path("docs/contract"),
    states_page: Annotated[Path, typer.Option("--states", help="Page to write")] = Path("docs/reference/states.md"),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when files and code differ")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Write AsyncAPI 3.0, JSON Schemas and examples of every event, and the diagrams of all states."""
    from salur.console import print_json, say
    from salur.contract import states
    from salur.contract.compatibility import breaks
    from salur.contract.files import differences, released, write
    from salur.contract.schemas import all_schemas

    changed = [str(out / name) for name in (differences(out) if check else write(out))]
    if states.differs(states_page) if check else states.write(states_page):
        changed.append(str(states_page))
    current = all_schemas()
    broken = [
        f"{name} {what}"
        for name, old in released(out).items()
        for what in (breaks(old, current[name]) if name in current else ["removed"])
    ]
    if as_json:
        print_json({"changed": changed, "breaks": broken})
    else:
        for name in changed:
            say(f"{'differs' if check else 'wrote'} {name}")
        for what in broken:
            say(f"[red]breaks the last release:[/] {what}")
        if not changed and not broken:
            say(f"{out} says what the code says")
    raise typer.Exit(1 if broken or (check and changed) else 0)
