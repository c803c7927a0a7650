"""What is told of a run that broke something: the seed, how to repeat it, every fault, and whom it concerns."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from salur.chaos.outcome import Outcome
from salur.inside.connect import Settings
from salur.inside.options import NotFound
from salur.inside.trace.show import show
from salur.inside.trace.standing import recipient_of, standing_of
from salur.inside.trace.story import story_of
from shared.errors import SalurError

TRACES_MAX: Final = 10
_RECIPIENT: Final = re.compile(r"r-[0-9a-f]{32}")
_REFERENCE: Final = re.compile(r"\b[0-9A-Za-z]{20,64}\b")


async def tell(console: Console, outcome: Outcome, faults: Sequence[dict[str, Any]], settings: Settings) -> None:
    """Prints everything; the stack must still run for the traces."""
    console.print(f"seed {outcome.seed}; to repeat: {outcome.command}", soft_wrap=True)
    console.print()
    for sentence in outcome.wrong:
        console.print(f"broken: {sentence}", soft_wrap=True, markup=False)
    console.print()
    for line in faults:
        console.print(fault_line(line), soft_wrap=True, markup=False)
    recipients = await concerned(outcome.wrong, settings)
    for recipient in recipients[:TRACES_MAX]:
        console.print()
        try:
            show(console, await story_of(settings, recipient), await standing_of(settings, recipient), "en")
        except SalurError as error:
            console.print(f"{recipient}: cannot be traced: {error.message}", soft_wrap=True)
    if len(recipients) > TRACES_MAX:
        console.print(f"{len(recipients) - TRACES_MAX} recipients more; `salur trace` shows them")


def fault_line(line: dict[str, Any]) -> str:
    """One fault of the log, for a person."""
    details = {
        name: line[name]
        for name in ("for_s", "delay_s", "aim", "hit", "amount", "rows", "poison", "pid")
        if line.get(name)
    }
    said = " ".join(f"{name}={value}" for name, value in details.items())
    return f"{line['number']:>5} {line['at'][11:23]} {line['kind']:<14} {line['victim']:<24} {line['outcome']} {said}"


async def concerned(sentences: Iterable[str], settings: Settings) -> list[str]:
    """Recipients that these sentences name, by their ids or by references of their payouts."""
    found: dict[str, None] = {}
    for sentence in sentences:
        named = _RECIPIENT.findall(sentence)
        if not named:
            named = [who for text in _REFERENCE.findall(sentence) if (who := await _whose(settings, text))]
        found |= dict.fromkeys(named)
    return list(found)


async def _whose(settings: Settings, reference: str) -> str | None:
    try:
        return await recipient_of(settings, reference)
    except NotFound:
        return None


async def write(path: Path, outcome: Outcome, faults: Sequence[dict[str, Any]], settings: Settings) -> None:
    """The same into a file."""
    with path.open("w", encoding="utf-8") as file:
        await tell(Console(file=file, width=160, highlight=False), outcome, faults, settings)
