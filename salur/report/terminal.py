"""The report on a terminal."""

from collections.abc import Iterable

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from salur.report.document import Invariant, Latency, Report
from salur.report.wording import WORDS, words

_DETAILS_MAX = 5


def show(report: Report, console: Console, troubles: Iterable[str] = ()) -> None:
    """Everything, the invariants last, where the eye stays."""
    for table in (
        _submissions(report),
        _programmes(report),
        _defects(report),
        _cycles(report),
        _bank(report),
        _messages(report),
        _rates(report),
        _cpu(report),
    ):
        if table is not None:
            note = table.caption if isinstance(table, Table) else None
            if isinstance(table, Table):
                table.caption = None  # rich would break it at the table's width
            console.print(table)
            if note:
                console.print(note, style="dim")
            console.print()
    console.print(_invariants(report, list(troubles)))


def _table(title: str, *columns: str, numbers_from: int = 1) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place >= numbers_from else "left", header_style="dim", no_wrap=True)
    return table


def _submissions(report: Report) -> Table:
    funnel = report.funnel
    table = _table("Submissions", "kind", "sent", "answered", "new", "updated", "same", "flagged", "rejected")
    table.add_column("waiting", justify="right", header_style="dim")
    for one in funnel.submissions:
        answers = one.answers
        unchanged = answers.get("unchanged identical", 0) + answers.get("unchanged older", 0)
        counts = (
            one.sent,
            one.answered,
            answers.get("registered new", 0),
            answers.get("registered updated", 0),
            unchanged,
            answers.get("flagged", 0),
            answers.get("rejected", 0),
            one.waiting,
        )
        table.add_row(one.kind, *map(_count, counts))
    table.caption = (
        f"{funnel.recipients:,} recipients on {funnel.families:,} family cards, {funnel.flagged:,} with a flag"
    )
    return table


def _programmes(report: Report) -> Table:
    table = _table("Programmes", "programme", "decided", "eligible", "queued", "ordered", "at bank", "paid", "failed")
    table.add_column("waiting", justify="right", header_style="dim")
    for one in report.funnel.programmes:
        waiting = one.no_open_cycle + one.not_yet_considered
        counts = (one.decided, one.eligible, one.queued, one.ordered, one.at_the_bank, one.confirmed, one.failed)
        table.add_row(one.programme, *map(_count, counts), _count(waiting))
    return table


def _defects(report: Report) -> Table | None:
    defects = report.defects
    if defects is None:
        return None
    table = _table("Planted against found", "defect", "planted", "found", "missed", "false alarm", "rupiah kept")
    if defects.waiting:
        table.add_column("waiting", justify="right", header_style="dim")
    for one in defects.classes:
        kept = "" if one.kept_idr is None else about_idr(one.kept_idr)
        cells = [_count(one.planted), _count(one.found), _bad(one.missed), _bad(one.false_alarm), kept]
        cells += [_count(one.waiting)] if defects.waiting else []
        table.add_row(words(one.defect), *cells)
    totals = [f"{defects.planted:,}", f"{defects.found:,}", f"{defects.missed:,}", f"{defects.false_alarm:,}"]
    waiting = [f"{defects.waiting:,}"] if defects.waiting else []
    table.add_row("all", *totals, about_idr(defects.kept_idr), *waiting, style="bold")
    if defects.paid_idr:
        table.caption = f"{idr(defects.paid_idr)} were paid all the same, before a flag was known"
    return table


def _cycles(report: Report) -> Table | None:
    if not report.money.cycles:
        return None
    table = _table("Money", "cycle", "budget", "paid", "under way", "payouts", "failed", "queued", "state")
    for one in report.money.cycles:
        money = (one.budget_idr, one.paid_idr, one.reserved_idr + one.in_transit_idr)
        counts = (one.confirmed, one.failed, one.queued)
        table.add_row(one.cycle, *map(about_idr, money), *map(_count, counts), one.state)
    failures: dict[str, int] = {}
    for one in report.money.cycles:
        for code, count in one.failed_by_code.items():
            failures[code] = failures.get(code, 0) + count
    if failures:
        table.caption = "failed: " + ", ".join(f"{words(code)} {count:,}" for code, count in failures.items())
    return table


def _bank(report: Report) -> Text | None:
    bank = report.money.bank
    if bank is None:
        return None
    text = Text()
    text.append("Ledger against the bank's books\n", style="bold")
    text.append(f"ledger {bank.ledger_lines:,} payments, {idr(bank.ledger_idr)}; ")
    text.append(f"bank {bank.lines:,}, {idr(bank.amount_idr)}; ")
    text.append(f"{bank.equal:,} equal, {bank.in_transit:,} on their way, ")
    text.append(f"{bank.differences:,} different", style="bold red" if bank.differences else "green")
    for one in bank.listed[:_DETAILS_MAX]:
        text.append(f"\n  {one.reference}: {one.what}", style="red")
    return text


def _messages(report: Report) -> Table | None:
    messages = report.messages
    if not messages.states:
        return None
    kinds = list(dict.fromkeys(one.kind for one in messages.states))
    table = _table("Messages", "state", *(words(kind) for kind in kinds), "all")
    for state in sorted(messages.by_state, key=lambda state: -messages.by_state[state]):
        by_kind = {
            kind: sum(m.messages for m in messages.states if (m.kind, m.state) == (kind, state)) for kind in kinds
        }
        table.add_row(words(state), *map(_count, by_kind.values()), _count(messages.by_state[state]))
    if carrier := messages.carrier:
        table.caption = (
            f"by the carrier's books {carrier.got:,} came to a phone; of {carrier.not_yet_known:,} notify does not "
            "know it yet"
        )
    return table


def _rates(report: Report) -> Table | None:
    rates = report.rates
    if not rates.stages:
        return None
    table = _table("Speed", "stage", "events", "events/s", "best 5 s", "p50", "p90", "p99")
    for one in rates.stages:
        latency = one.latency_ms
        table.add_row(
            one.stage, f"{one.events:,}", f"{one.per_s:,.0f}", f"{one.peak_per_s:,.0f}", *_percentiles(latency)
        )
    if flow := rates.registered_to_confirmed:
        per_s = f"{flow.recipients_per_s:,.0f}" if flow.recipients_per_s else "-"
        table.add_row(
            "registered → confirmed", f"{flow.payouts:,}", per_s, "", *_percentiles(flow.latency_ms), style="bold"
        )
        table.caption = (
            f"{flow.recipients:,} recipients registered in {seconds(flow.registering_s * 1000)}; events/s of the last "
            "line are recipients a second until 99% of payouts were confirmed"
        )
    return table


def _cpu(report: Report) -> Table | None:
    if not report.rates.cpu:
        return None
    table = _table("Where the time goes", "process", "CPU s", "share", "µs a recipient", "memory")
    for one in report.rates.cpu:
        table.add_row(
            f"{one.process}-{one.instance}",
            f"{one.cpu_s:,.1f}",
            f"{one.share:.0%}",
            f"{one.us_per_recipient:,.0f}" if one.us_per_recipient is not None else "-",
            f"{one.memory_bytes / 1e6:,.0f} MB" if one.memory_bytes else "-",
        )
    return table


def _invariants(report: Report, troubles: list[str]) -> Panel:
    lines: list[Text] = []
    for one in report.invariants:
        lines.append(_invariant(one))
        shown = one.detail[:_DETAILS_MAX] if one.broken else []
        lines += [Text(f"    {sentence}", style="red") for sentence in shown]
        if one.broken and one.broken > len(shown):
            lines.append(Text(f"    and {one.broken - len(shown):,} more", style="red"))
    lines += [Text(f"! {trouble}", style="yellow") for trouble in troubles]
    colour = "red" if report.broken else "yellow" if report.unchecked else "green"
    title = "broken" if report.broken else "some not checked" if report.unchecked else "all hold"
    return Panel(Group(*lines), title=f"Invariants: {title}", border_style=colour, title_align="left", expand=False)


def _invariant(one: Invariant) -> Text:
    sentence = WORDS.get(one.name, words(one.name))
    if one.broken is None:
        why = one.detail[0] if one.detail else "not checked"
        return Text.assemble(("? ", "yellow"), sentence, (f"  {why}", "dim"))
    if one.broken:
        return Text.assemble(("✗ ", "bold red"), (sentence, "bold"), (f"  broken {one.broken:,} times", "bold red"))
    return Text.assemble(("✓ ", "bold green"), sentence)


def _percentiles(latency: Latency) -> tuple[str, str, str]:
    if not latency.count:
        return "-", "-", "-"
    return seconds(latency.p50), seconds(latency.p90), seconds(latency.p99)


def seconds(ms: float) -> str:
    """A duration in the unit in which it is read best."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 120_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms / 60_000:.0f} min" if ms < 7_200_000 else f"{ms / 3_600_000:.1f} h"


def idr(amount: int) -> str:
    """Rupiah with the thousands apart."""
    return f"Rp{amount:,}"


def about_idr(amount: int) -> str:
    """Rupiah in four digits: mn is juta, bn is miliar."""
    for size, unit in ((10**12, "tn"), (10**9, "bn"), (10**6, "mn")):
        if amount >= size:
            return f"Rp{amount / size:.4g} {unit}"
    return idr(amount)


def _count(count: int | None) -> str:
    return "-" if count is None else f"{count:,}" if count else "·"


def _bad(count: int) -> str:
    return f"[red]{count:,}[/]" if count else "·"
