"""The story as a tree of causes, each step with its time, and a table of where things stand."""

from collections import defaultdict
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from salur.inside.trace.phrases import Language, phrase, rupiah, stage_of
from salur.inside.trace.standing import Rows
from salur.inside.trace.story import Step, Story

_COLOURS: Final = {
    "registry": "cyan",
    "eligibility": "magenta",
    "payout": "green",
    "notify": "blue",
    "portal": "white",
    "operator": "yellow",
}
_HEADS: Final[dict[str, dict[Language, str]]] = {
    "submission": {"id": "pengajuan", "en": "submission"},
    "cause": {"id": "sebab", "en": "cause"},
    "now": {"id": "sekarang", "en": "now"},
}


def show(console: Console, story: Story, standing: dict[str, dict[str, Rows]], language: Language) -> None:
    """Prints everything; times are this machine's."""
    zone = datetime.now().astimezone().tzname()
    console.print(f"[bold]{story.recipient}[/bold]  ({zone})", highlight=False)
    for tree in trees(story, language):
        console.print(tree, highlight=False)
    now = Tree(f"[bold]{_HEADS['now'][language]}[/bold]")
    for service, tables in standing.items():
        branch = now.add(f"[{_COLOURS[service]}]{service}[/]")
        for name, rows in tables.items():
            for row in rows:
                branch.add(f"{name}: {_row(row, language)}")
    console.print(now, highlight=False)


def trees(story: Story, language: Language) -> list[Tree]:
    """One tree for each cause that is not itself a step: submissions, mostly."""
    known = {step.id for step in story.steps}
    children: dict[str | None, list[Step]] = defaultdict(list)
    for step in story.steps:
        children[step.cause].append(step)
    roots = [cause for cause in children if cause not in known]
    made = []
    for cause in roots:
        tree = Tree(_root(cause, children[cause], language))
        _grow(tree, children[cause], children, language, set())
        made.append(tree)
    return made


def _grow(
    tree: Tree,
    steps: list[Step],
    children: dict[str | None, list[Step]],
    language: Language,
    above: set[str],
) -> None:
    """`above` keeps a forged circle of causes from growing for ever."""
    for step in steps:
        branch = tree.add(_label(step, language))
        if step.id not in above and step.id in children:
            _grow(branch, children[step.id], children, language, above | {step.id})


def _root(cause: str | None, steps: list[Step], language: Language) -> str:
    for step in steps:
        submission = step.data.get("submission")
        if isinstance(submission, dict) and submission.get("id") == cause:
            at = _time(datetime.fromisoformat(submission["submitted_at"]))
            named = f"{escape(submission['source'])}/{escape(str(cause))}"
            trace = f"  trace {escape(step.trace)}" if step.trace else ""
            return f"{_HEADS['submission'][language]} {named}  [dim]{at}{trace}[/dim]"
    return f"{_HEADS['cause'][language]} {escape(str(cause))}" if cause else "…"


def _label(step: Step, language: Language) -> str:
    stage = stage_of(step)
    return (
        f"[dim]{_time(step.at)}[/dim] [{_COLOURS[stage]}]{stage}[/] {escape(phrase(step, language))}"
        f"  [dim]{escape(step.id[:8])}[/dim]"
    )


def _row(row: dict[str, Any], language: Language) -> str:
    """What is known, each with its name; what is empty or zero is left out."""
    said = [f"[dim]{name}[/dim] {escape(_cell(name, value, language))}" for name, value in row.items() if value]
    return "  ".join(said)


def _cell(name: str, value: Any, language: Language) -> str:
    if name.endswith("_idr"):
        return rupiah(value, language)
    if isinstance(value, datetime):
        return _time(value)
    return str(value)


def _time(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3]
