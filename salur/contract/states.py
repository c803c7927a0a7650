"""docs/reference/states.md: every state machine as a diagram and a table, rendered from the tables in the code."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from services.notify.domain import states as notify
from services.payout.domain import states as payout

FILE: Final = Path("docs/reference/states.md")
_HEAD: Final = """\
# States

Written by `salur contract` from the tables of transitions in `services/*/domain/states.py`; do not edit. A change of
state that is not in these tables does not happen: the services take no other, and where it is about money the
database refuses it too.
"""
_OF_MESSAGES: Final[Mapping[notify.Fact, str]] = {
    notify.Fact.CLAIMED: "a worker takes it for sending",
    notify.Fact.NOTHING_NEW: "nothing in it is new to the recipient",
    notify.Fact.NO_WAY: "there is no phone to send it to",
    notify.Fact.REPLACED: "a newer message takes its place",
    notify.Fact.REFUSED_FOR_NOW: "the carrier says later",
    notify.Fact.REFUSED: "the carrier refuses it",
    notify.Fact.LOST: "no answer after it was written, or the process died",
    notify.Fact.ACCEPTED: "the carrier has accepted it",
    notify.Fact.TOLD_FAILED: "the carrier tells that it failed",
    notify.Fact.TOLD_DELIVERED: "the carrier tells that it arrived",
    notify.Fact.TOLD_READ: "the carrier tells that it was read",
}


class Step(NamedTuple):
    """From one state to another, and what makes it happen. An empty `source` is the beginning."""

    source: str
    target: str
    why: str


class Machine(NamedTuple):
    """One state machine; `module` says where its table stands."""

    title: str
    module: str
    about: str
    steps: tuple[Step, ...]


def machines() -> tuple[Machine, ...]:
    """In the order of the flow."""
    return (
        Machine(
            "Cycle",
            payout.__name__,
            "One disbursement (tahap) of a programme for one period. Who proposes it does not approve it.",
            tuple(Step(*step) for step in payout.CYCLE),
        ),
        Machine(
            "Payout",
            payout.__name__,
            "What one recipient gets from one programme in one cycle. `claimed` and `unknown` are the states in which "
            "the bank may know of the order: it is neither repeated nor cancelled in them.",
            tuple(Step(*step) for step in payout.PAYOUT),
        ),
        Machine(
            "Message",
            notify.__name__,
            "One message to one recipient. Statuses of the carrier repeat and come out of order, so they only ever "
            "move a message up: unknown, sent, failed, delivered, read.",
            _of_messages(notify.TRANSITIONS),
        ),
    )


def page() -> str:
    """The whole file."""
    return "\n".join((_HEAD, *(line for machine in machines() for line in _section(machine))))


def differs(path: Path) -> bool:
    """Whether the file is missing or says something else than the code."""
    return not path.exists() or path.read_text(encoding="utf-8") != page()


def write(path: Path) -> bool:
    """Brings the file to what the code says; returns whether it was changed."""
    changed = differs(path)
    if changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(), encoding="utf-8")
    return changed


def _of_messages(transitions: Mapping[tuple[notify.State, notify.Fact], notify.State]) -> tuple[Step, ...]:
    """Facts that lead the same way make one step."""
    facts: dict[tuple[str, str], list[str]] = {("", notify.State.WAITING.value): ["there is something to tell"]}
    for (source, fact), target in transitions.items():
        facts.setdefault((source.value, target.value), []).append(_OF_MESSAGES[fact])
    order = ["", *(state.value for state in notify.State)]
    ways = sorted(facts, key=lambda way: (order.index(way[0]), order.index(way[1])))
    return tuple(Step(*way, ", or ".join(facts[way])) for way in ways)


def _section(machine: Machine) -> Iterable[str]:
    yield f"## {machine.title}"
    yield ""
    yield f"{machine.about} Table: `{machine.module.replace('.', '/')}.py`."
    yield ""
    yield "```mermaid"
    yield "stateDiagram-v2"
    for source, target in dict.fromkeys((step.source, step.target) for step in machine.steps):
        yield f"    {source or '[*]'} --> {target}"
    left = {step.source for step in machine.steps}
    for state in dict.fromkeys(step.target for step in machine.steps if step.target not in left):
        yield f"    {state} --> [*]"
    yield "```"
    yield ""
    yield "| from | to | when |"
    yield "|---|---|---|"
    for step in machine.steps:
        yield f"| {step.source or '(new)'} | {step.target} | {step.why} |"
    yield ""
